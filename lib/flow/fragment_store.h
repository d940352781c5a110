// Early fragments: they wait here until the first fragment of their datagram says where to go.
//
// Theory of operation. A first fragment is balanced by its ports, and First records the decision in
// the FragmentMap shared by all workers; later ones ask Later and mostly are told at once. One that
// comes before the first waits: as an opaque 64-bit handle (an mbuf), in its datagram's list, in
// order of arrival. It leaves the store exactly once, through Next: with the decision to apply, or
// with a reason to be dropped.
//
//   event                                             leaves with
//   the first fragment comes here (First)             its decision
//   ... or came to another worker (Advance polls)     its decision
//   wait_ticks passed without it (Advance)            fragment_timeout
//   others need the room: its bucket or the store     fragment_evicted
//     is full, and its datagram is the oldest
//   exit (ReleaseAll)                                 fragment_timeout
//
// Reassembling first (rte_ip_frag) would not do: it wants all fragments on one worker, holds every
// packet of every fragmented datagram until the last has come, not the early ones alone, takes at
// most 8 fragments a datagram by default, judges overlaps, which are the backend's to judge, and
// yields a packet that would have to be cut again.
//
// Bounds. All memory is taken at construction. Per call: one bucket of 4 datagrams looked at, at
// most two datagrams put out, each of at most max_per_datagram fragments, every one of which was a
// packet once; Advance: kExpirePerCall datagrams timed out and kPollPerCall asked for. A flood
// displaces waiting fragments, oldest first, and costs other flows' packets nothing.
//
// Worked example: fragments 2, 3, 1 of datagram D come in this order.
//   Later(D, mbuf2) -> kHeld; Later(D, mbuf3) -> kHeld; First(D, 7) = 7, the caller forwards 1;
//   Next -> {mbuf2, 7}; Next -> {mbuf3, 7}; Next -> false
//
// One instance per worker, used by it alone; ticks as in flow_table.h.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/counters/drop_reason.h"
#include "lib/flow/flow_hash.h"
#include "lib/flow/fragment_map.h"

namespace fairlead {

struct FragmentStoreSettings {
  uint32_t max_datagrams = 256;    // with fragments that wait; rounded up to 4 * 2^n
  uint32_t max_waiting = 1024;     // fragments; well below the packet pool's size
  uint32_t max_per_datagram = 64;  // 64 KiB over an MTU of 1,500 is 45
  uint32_t wait_ticks = 2 * kTicksPerSecond;
  // Calls of Later between two rounds of Next, that is, later fragments in one look at a queue. Each
  // takes a place, and those that it puts out of theirs give it back to Next only: in a full store
  // all further ones would be refused, though it is the oldest that are to make room.
  uint32_t max_per_round = 128;
};

class FragmentStore {
 public:
  // `map` outlives the store.
  FragmentStore(FragmentMap* map, const FragmentStoreSettings& settings);

  // A first fragment that was balanced to `where` (not 0). Returns what it has to apply, which is
  // an earlier first fragment's decision if there is one. Those that wait for it become Next's.
  uint64_t First(const FlowHash& datagram, uint64_t where, uint32_t now_tick);

  enum class Outcome : uint8_t {
    kForward,  // *where is set; the handle stays the caller's
    kHeld,     // the handle is the store's, until Next returns it
    kRefused,  // no room (fragment_evicted); the handle stays the caller's
  };
  // A later fragment.
  Outcome Later(const FlowHash& datagram, uint64_t handle, uint32_t now_tick, uint64_t* where);

  // Once a round, before Next.
  void Advance(uint32_t now_tick);

  struct Released {
    uint64_t handle = 0;
    uint64_t where = 0;  // 0: to be dropped for `reason`
    DropReason reason = DropReason::kNone;
  };
  // The next fragment that waits no longer; false when there is none. The caller asks until then,
  // at the latest after max_per_round calls of Later: what has not been fetched takes room from
  // newcomers.
  bool Next(Released* released);

  // Everything that waits is timed out, and Next's to return.
  void ReleaseAll();

  const FragmentMap& map() const { return *map_; }
  // Nothing waits and nothing is Next's.
  bool idle() const { return waiting_ == 0 && released_head_ == kNone; }
  uint32_t waiting() const { return waiting_; }  // fragments, without those that are Next's already
  uint32_t waiting_datagrams() const { return datagram_count_; }

 private:
  static constexpr uint32_t kCellsPerBucket = 4;
  static constexpr uint32_t kExpirePerCall = 8;
  static constexpr uint32_t kPollPerCall = 4;
  static constexpr uint32_t kNone = 0xffffffff;

  struct Node {
    Released fragment;
    uint32_t next = kNone;
  };
  struct Cell {  // a datagram with fragments that wait
    FlowHash datagram;
    uint64_t order = 0;  // of arrival
    uint32_t count = 0;  // 0: free
    uint32_t head = kNone;
    uint32_t tail = kNone;
    uint32_t since_tick = 0;
    uint32_t older = kNone;  // list of all used cells by order
    uint32_t newer = kNone;
  };

  uint32_t FindCell(const FlowHash& datagram) const;
  uint32_t TakeCell(const FlowHash& datagram, uint32_t now_tick);
  void Release(uint32_t cell_index, uint64_t where, DropReason reason);
  void Unlink(uint32_t cell_index);

  FragmentMap* map_;
  FragmentStoreSettings settings_;
  uint64_t bucket_mask_;
  std::vector<Cell> cells_;
  std::vector<Node> nodes_;
  uint32_t free_node_ = kNone;
  uint32_t released_head_ = kNone;
  uint32_t released_tail_ = kNone;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
  uint32_t poll_ = kNone;  // the cell that is asked for next
  uint64_t next_order_ = 0;
  uint32_t waiting_ = 0;
  uint32_t datagram_count_ = 0;
};

}  // namespace fairlead
