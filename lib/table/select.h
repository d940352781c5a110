// The choice of a backend for one packet: the heart of the balancer, shared by the pipeline,
// `explain` and the simulator.
//
//   packet                             tracking none   tracking all
//   ---------------------------------  --------------
//   ---------------------------------------------- SYN, or UDP, without a record      slot's owner
//   slot's owner, recorded other, without a record            slot's owner    slot's owner,
//   recorded (class pinned), but
//                                                      never by a RST
//   recorded, backend may serve        slot's owner    as recorded; a SYN only if the record is not
//                                                      closing and the backend not draining
//   recorded, backend down or gone     slot's owner    slot's owner, record replaced
//   record expired, not swept yet      slot's owner    as without a record
//
// SYN means SYN alone: a SYN-ACK is an answer. FIN and RST set kRecordClosing, payload without them
// clears it. The first packet that is no SYN again confirms a record. A weight of 0 keeps recorded
// flows.
//
// `adaptive` is treated as `all` until slots have states (docs/limitations.md): no flow breaks, but
// every flow costs a record.
//
// A burst: per packet Prefetch; then per packet SelectBackend. In between PrefetchOwner, where the
// backends do not fit into the L2 cache.
#pragma once

#include <cstdint>
#include <string_view>

#include "lib/flow/flow_table.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

enum class SelectReason : uint8_t {
  kSlot,       // the slot's owner; no record was used
  kRecorded,   // as the flow's record says
  kNewFlow,    // the slot's owner; recorded now
  kReplaced,   // the slot's owner; the flow's record was of no more use and was replaced
  kUntracked,  // the slot's owner; a record was due but could not be stored
  kNoBackend,  // nobody may serve
};
std::string_view SelectReasonText(SelectReason reason);  // for explain: one plain sentence

struct PacketFacts {
  uint8_t protocol = 0;  // 6 or 17
  uint8_t tcp_flags = 0;
  bool has_payload = false;
};

struct Selection {
  uint32_t backend_index = kNoIndex;  // into ForwardingTables::backends()
  SelectReason reason = SelectReason::kNoBackend;
  bool evicted = false;  // another live record made room
};

inline Tracking TrackingOf(const ServiceEntry& service, uint8_t protocol) {
  return protocol == static_cast<uint8_t>(Protocol::kUdp) ? service.tracking_udp
                                                          : service.tracking_tcp;
}
inline uint32_t IdleTicksOf(const ServiceEntry& service, uint8_t protocol) {
  return protocol == static_cast<uint8_t>(Protocol::kUdp) ? service.idle_ticks_udp
                                                          : service.idle_ticks_tcp;
}

// Where the flow's slot is.
inline const std::atomic<uint32_t>* SlotWord(const ServiceEntry& service, const FlowHash& hash) {
  return &service.slots[SlotIndex(hash, service.slot_count)];
}

// The slot's owner as an index into ForwardingTables::backends(), kNoIndex if nobody may serve.
inline uint32_t SlotOwner(const ServiceEntry& service, const FlowHash& hash) {
  const Slot slot = Slot::Unpack(SlotWord(service, hash)->load(std::memory_order_relaxed));
  return slot.current == kNoOwner ? kNoIndex : service.first_backend + slot.current;
}

// Fetches what SelectBackend will read first: the slot, and the flow table's buckets if the service
// tracks. (always_inline: see FlowTable::Prefetch.)
[[gnu::always_inline]] inline void Prefetch(const ServiceEntry& service, const FlowHash& hash,
                                            uint8_t protocol, const FlowTable* flows) {
  __builtin_prefetch(SlotWord(service, hash));
  if (TrackingOf(service, protocol) != Tracking::kNone) {
    flows->Prefetch(RecordKey::Make(hash, service.salt));
  }
}

// Fetches the owner's BackendEntry. The slot is read: prefetch that one first.
[[gnu::always_inline]] inline void PrefetchOwner(const ForwardingTables& tables,
                                                 const ServiceEntry& service,
                                                 const FlowHash& hash) {
  const uint32_t owner = SlotOwner(service, hash);
  if (owner != kNoIndex) __builtin_prefetch(&tables.backends()[owner]);
}

Selection SelectTracked(const ForwardingTables& tables, const ServiceEntry& service,
                        const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick,
                        FlowTable* flows);

// Any worker. `hash` of the key already reduced by the service's policy. `flows` may be null only
// when the service tracks nothing. Updates the flow table (record, last seen, flags) as the table
// above says.
inline Selection SelectBackend(const ForwardingTables& tables, const ServiceEntry& service,
                               const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick,
                               FlowTable* flows) {
  if (TrackingOf(service, facts.protocol) != Tracking::kNone) {
    return SelectTracked(tables, service, hash, facts, now_tick, flows);
  }
  const uint32_t owner = SlotOwner(service, hash);
  return {owner, owner == kNoIndex ? SelectReason::kNoBackend : SelectReason::kSlot, false};
}

// Any thread. What SelectBackend would answer, without changing anything, were the flow table free
// of contention. `record` null = none.
Selection ExplainBackend(const ForwardingTables& tables, const ServiceEntry& service,
                         const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick,
                         const FlowRecord* record);

}  // namespace fairlead
