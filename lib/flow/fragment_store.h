// Holds early fragments until the routing decision of their datagram's first fragment is known.
//
// Theory of operation. A first fragment is balanced by its ports. RecordFirst records the decision in the
// FragmentMap, which all workers share. For a later fragment, AddLater looks the decision up and
// mostly finds it. A fragment that arrives before the first one waits in its datagram's list, in
// order of arrival, as an opaque 64-bit handle (an mbuf). It leaves the store exactly once, through
// Next, with the decision to apply or with a drop reason.
//
//   event                                             leaves with
//   the first fragment arrives here (RecordFirst)         its decision
//   ... or arrived at another worker (Advance polls)  its decision
//   wait_ticks passed without it (Advance)            fragment_timeout
//   its bucket or the store is full, and its          fragment_evicted
//     datagram is the oldest
//   exit (ReleaseAll)                                 fragment_timeout
//
// Rejected alternative: reassembly (rte_ip_frag). It needs all fragments on one worker. It holds
// every packet of every fragmented datagram until the last has arrived, not only the early ones. It
// accepts at most 8 fragments per datagram by default. It judges overlaps, which is the backend's
// task. It makes a packet that must be cut again.
//
// Bounds. All memory is allocated at construction. A call searches one bucket of 4 datagrams and
// evicts at most two datagrams, each of at most max_per_datagram fragments. Advance times out at
// most kExpirePerCall datagrams and polls the map for at most kPollPerCall. A flood evicts waiting
// fragments, oldest first, and costs other flows' packets nothing.
//
// Worked example: fragments 2, 3, 1 of datagram D come in this order.
//   AddLater(D, mbuf2) -> kHeld; AddLater(D, mbuf3) -> kHeld; RecordFirst(D, 7) = 7, the caller
//     forwards 1;
//   Next -> {mbuf2, 7}; Next -> {mbuf3, 7}; Next -> false
//
// One instance per worker, which only that worker uses. Ticks are as in flow_table.h.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/counters/drop_reason.h"
#include "lib/flow/flow_hash.h"
#include "lib/flow/fragment_map.h"

namespace fairlead {

struct FragmentStoreSettings {
  uint32_t max_datagrams = 256;    // with waiting fragments; rounded up to 4 * 2^n
  uint32_t max_waiting = 1024;     // fragments; well below the packet pool's size
  uint32_t max_per_datagram = 64;  // 64 KiB over an MTU of 1,500 is 45
  uint32_t wait_ticks = 2 * kTicksPerSecond;
  // The most calls of Later between two rounds of Next, that is, later fragments in one batch. Each
  // call may use a node. The nodes of fragments that it evicts become free only in Next. Without
  // these extra nodes, a full store would refuse new fragments instead of evicting the oldest.
  uint32_t max_per_round = 128;
};

class FragmentStore {
 public:
  // `map` outlives the store.
  FragmentStore(FragmentMap* map, const FragmentStoreSettings& settings);

  // For a first fragment that was balanced to `decision` (not 0). Returns the decision to apply, which
  // is that of an earlier first fragment if there was one. Next returns the fragments that waited
  // for it.
  uint64_t RecordFirst(const FlowHash& datagram, uint64_t decision, uint32_t now_tick);

  enum class Outcome : uint8_t {
    kForward,  // *decision is set; the caller keeps the handle
    kHeld,     // the store has the handle until Next returns it
    kRefused,  // the store is full (fragment_evicted); the caller keeps the handle
  };
  // For a later fragment.
  Outcome AddLater(const FlowHash& datagram, uint64_t handle, uint32_t now_tick,
                   uint64_t* decision);

  // Times out fragments, and polls the map for others' decisions. Call once a round, before Next.
  void Advance(uint32_t now_tick);

  struct Released {
    uint64_t handle = 0;
    uint64_t decision = 0;  // 0: the fragment is dropped for `reason`
    DropReason reason = DropReason::kNone;
  };
  // Returns the next fragment that no longer waits; false if there is none. The caller calls it
  // until it returns false, at the latest after max_per_round calls of Later: fragments that have
  // not been fetched occupy nodes.
  bool Next(Released* released);

  // Times out all waiting fragments. Next returns them.
  void ReleaseAll();

  const FragmentMap& map() const { return *map_; }
  // True if no fragment waits and Next has none to return.
  bool empty() const { return waiting_ == 0 && released_head_ == kNone; }
  uint32_t waiting() const { return waiting_; }  // fragments, without those that Next will return
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
  struct Cell {  // a datagram with waiting fragments
    FlowHash datagram;
    uint64_t order = 0;  // of arrival
    uint32_t count = 0;  // 0: free
    uint32_t head = kNone;
    uint32_t tail = kNone;
    uint32_t since_tick = 0;
    uint32_t older = kNone;  // list of all used cells, by `order`
    uint32_t newer = kNone;
  };

  uint32_t FindCell(const FlowHash& datagram) const;
  uint32_t TakeCell(const FlowHash& datagram, uint32_t now_tick);
  void Release(uint32_t cell_index, uint64_t decision, DropReason reason);
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
  uint32_t poll_ = kNone;  // the cell that Advance polls next
  uint64_t next_order_ = 0;
  uint32_t waiting_ = 0;
  uint32_t datagram_count_ = 0;
};

}  // namespace fairlead
