// The connection table of other balancers. It records every flow at its first packet, and looks it
// up at each later one. When the table is full, the flow that was silent longest is evicted.
//
// It is better than the originals: it is an exact LRU (Katran's is the kernel's approximate one,
// split per CPU), and it erases a flow 10 s after its FIN, as Fairlead does.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/flow/flow_hash.h"

namespace fairlead::pcc {

class LruTable {
 public:
  LruTable(uint32_t capacity, uint32_t idle_ticks);

  // The backend id in the flow's entry, or nullptr. Valid until the next Insert or Expire. Makes
  // the flow the newest.
  uint32_t* Find(uint64_t tag, uint32_t now_tick, bool closing);
  // REQUIRES that the flow has no entry. True if it evicted a flow that was not idle for longer
  // than the idle timeout.
  bool Insert(uint64_t tag, uint32_t backend_id, uint32_t now_tick);

  // Erases flows that have ended. Flows that are idle for longer than the idle timeout stay, but
  // live() does not count them, and they are evicted first.
  void Expire(uint32_t now_tick);
  uint32_t live() const { return lists_[kLive].count + lists_[kClosing].count; }
  void Clear();

 private:
  static constexpr uint32_t kNone = 0xffffffff;
  enum ListName : uint8_t { kLive, kClosing, kStale, kListCount };

  struct Entry {
    uint64_t tag;
    uint32_t backend_id;
    uint32_t last_seen_tick;
    uint32_t older;
    uint32_t newer;
    uint32_t next;  // in the hash chain, or of unused entries
    uint8_t list;
  };
  struct List {
    uint32_t oldest = kNone;
    uint32_t newest = kNone;
    uint32_t count = 0;
  };

  uint32_t& ChainOf(uint64_t tag) { return chains_[tag & chain_mask_]; }
  void Unlink(uint32_t index);
  void Append(uint32_t index, ListName list);
  void Erase(uint32_t index);

  std::vector<Entry> entries_;
  std::vector<uint32_t> chains_;
  uint64_t chain_mask_;
  uint32_t unused_ = kNone;
  uint32_t capacity_;
  uint32_t idle_ticks_;
  List lists_[kListCount];
};

}  // namespace fairlead::pcc
