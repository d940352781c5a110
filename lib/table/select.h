// Selects the backend for a packet. The pipeline's select stage takes the owners of settled slots
// for a whole burst (SelectBySlot, by the first rule below) and calls SelectTracked for the other
// packets. ICMP errors and `explain` use ChooseWithoutRecording. Tests and the simulator use
// SelectBackend, which does both.
//
// Tracking none, and adaptive in a settled slot: the slot's current owner; no flow table lookup.
// Else:
//
// clang-format off
//   packet                          all                  adaptive, shifting     adaptive, pinned
//   ------------------------------  -------------------  ---------------------  ----------------
//   recorded, backend usable        as recorded; a SYN only if the record is not closing and either
//                                   the backend is not draining or the record is in use, else
//                                   current, record replaced
//   recorded, backend down or gone  current, record replaced (a RST: no record)
//   SYN without a record            current, recorded    current, recorded      current
//   UDP without a record            current, recorded    stable, recorded (o)   current
//   other without a record          current, recorded    stable, recorded (o)   current
//   RST without a record            current              stable                 current
// clang-format on
//
// (o): recorded as class old.
// - The states of a slot are in slot_table.h. SYN means SYN without ACK.
// - An expired record that was not swept yet counts as none, and is overwritten.
// - A stable owner that is down is never used. Then current, recorded as class new: the flow's next
//   packets could not derive it.
// - FIN and RST set kRecordClosing. A payload without them clears it.
// - The first packet that is not a SYN confirms a record.
// - A record is in use if it is confirmed and its last packet is at most kInUseTicks old.
// - A backend of weight 0 keeps recorded flows.
//
// Trade-off: a client that reuses a port within that time, while its old connection's backend
// drains, is sent to that backend again. The alternative is worse: one SYN with any sequence number
// would move a live connection and so break it, and anyone who knows the client's address and port
// can send that.
//
// UDP has no SYN. Under `adaptive`, an unrecorded UDP flow of a shifting slot therefore counts as
// old: no flow breaks, but new flows go to the old owner until T is over. `all`, the default for
// UDP, avoids that.
//
// The flow table's buckets are prefetched only for packets that need them. So a service whose slots
// are settled costs as little as one without tracking.
#pragma once

#include <cstdint>
#include <string_view>

#include "lib/base/prefetch.h"
#include "lib/flow/flow_table.h"
#include "lib/net/headers.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

// For this long after its last packet, a SYN does not move a connection.
inline constexpr uint32_t kInUseTicks = 60 * kTicksPerSecond;

enum class SelectReason : uint8_t {
  kSlot,      // the slot's owner; no record was used
  kRecorded,  // the backend of the flow's record
  kNewFlow,   // the slot's owner; recorded now
  kStable,  // the owner before the slot's change, for a flow older than that; recorded unless a RST
  kReplaced,   // the slot's owner; it replaced the flow's record, which was no longer usable
  kUntracked,  // the backend is chosen, but the flow's record could not be stored
  kNoBackend,  // no backend is usable
};
std::string_view SelectReasonText(SelectReason reason);  // for explain: one sentence

struct PacketFacts {
  uint8_t protocol = 0;  // 6 or 17
  uint8_t tcp_flags = 0;
  bool has_payload = false;
};

struct Selection {
  uint32_t backend_index = kNoIndex;  // into ForwardingTables::backends()
  SelectReason reason = SelectReason::kNoBackend;
  bool stored = false;   // a record was stored, in a free entry or in place of another one
  bool evicted = false;  // it replaced another flow's live record
};

inline Tracking TrackingOf(const ServiceEntry& service, uint8_t protocol) {
  return protocol == static_cast<uint8_t>(Protocol::kUdp) ? service.tracking_udp
                                                          : service.tracking_tcp;
}
inline uint32_t IdleTicksOf(const ServiceEntry& service, uint8_t protocol) {
  return protocol == static_cast<uint8_t>(Protocol::kUdp) ? service.idle_ticks_udp
                                                          : service.idle_ticks_tcp;
}

inline bool IsSynFlags(uint8_t tcp_flags) {
  return (tcp_flags & (kTcpSyn | kTcpAck | kTcpFin | kTcpRst)) == kTcpSyn;
}
inline bool IsSyn(const PacketFacts& facts) {
  return facts.protocol == kIpProtoTcp && IsSynFlags(facts.tcp_flags);
}

// Where the flow's slot word is.
inline const std::atomic<uint32_t>* SlotAddress(const ServiceEntry& service, const FlowHash& hash) {
  return &service.slots[SlotIndex(hash, service.slot_count)];
}

// The slot's current owner as an index into ForwardingTables::backends(); kNoIndex if there is
// none.
inline uint32_t OwnerIn(const ServiceEntry& service, uint32_t word) {
  const uint16_t current = Slot::Unpack(word).current;
  return current == kNoOwner ? kNoIndex : service.first_backend + current;
}
inline uint32_t SlotOwner(const ServiceEntry& service, const FlowHash& hash) {
  return OwnerIn(service, SlotAddress(service, hash)->load(std::memory_order_relaxed));
}

// True if the selection needs the flow table. `word`: the flow's slot word.
inline bool NeedsRecord(const ServiceEntry& service, uint8_t protocol, uint32_t word) {
  const Tracking tracking = TrackingOf(service, protocol);
  return tracking == Tracking::kAll || (tracking == Tracking::kAdaptive && !Slot::IsSettled(word));
}

// Prefetches the flow's slot word and returns its address.
[[gnu::always_inline]] inline const std::atomic<uint32_t>* PrefetchSlot(const ServiceEntry& service,
                                                                        const FlowHash& hash) {
  const std::atomic<uint32_t>* const slot = SlotAddress(service, hash);
  PrefetchLine(slot);
  return slot;
}

// Returns the slot word, for SelectBackend. Prefetches the flow table's buckets if they will be
// needed. (always_inline: see PrefetchLine.)
[[gnu::always_inline]] inline uint32_t PrefetchRecord(const ServiceEntry& service,
                                                      const FlowHash& hash, uint8_t protocol,
                                                      const FlowTable* flows) {
  const uint32_t word = SlotAddress(service, hash)->load(std::memory_order_relaxed);
  if (NeedsRecord(service, protocol, word)) flows->Prefetch(RecordKey::Make(hash, service.salt));
  return word;
}

// SelectBackend for packets for which NeedsRecord is true.
Selection SelectTracked(const ForwardingTables& tables, const ServiceEntry& service, uint32_t word,
                        const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick,
                        FlowTable* flows);

// Any worker. `hash`: by HashFlow under the service's policy. `word`: the value at SlotAddress.
// `flows` may be null only if the service tracks nothing. Updates the flow table (record, last
// seen, flags) as in the table above.
inline Selection SelectBackend(const ForwardingTables& tables, const ServiceEntry& service,
                               uint32_t word, const FlowHash& hash, const PacketFacts& facts,
                               uint32_t now_tick, FlowTable* flows) {
  if (NeedsRecord(service, facts.protocol, word)) [[unlikely]] {
    return SelectTracked(tables, service, word, hash, facts, now_tick, flows);
  }
  const uint32_t owner = OwnerIn(service, word);
  return {owner, owner == kNoIndex ? SelectReason::kNoBackend : SelectReason::kSlot, false, false};
}
inline Selection SelectBackend(const ForwardingTables& tables, const ServiceEntry& service,
                               const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick,
                               FlowTable* flows) {
  const uint32_t word = SlotAddress(service, hash)->load(std::memory_order_relaxed);
  return SelectBackend(tables, service, word, hash, facts, now_tick, flows);
}

// Any thread. The result that SelectBackend would have without contention. Changes nothing.
// `record` null = none. For `explain`, and for ICMP errors about a flow.
Selection ChooseWithoutRecording(const ForwardingTables& tables, const ServiceEntry& service,
                                 uint32_t word, const PacketFacts& facts, uint32_t now_tick,
                                 const FlowRecord* record);

}  // namespace fairlead
