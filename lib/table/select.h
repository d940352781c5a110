// The choice of a backend for one packet: the heart of the balancer, shared by the pipeline,
// `explain` and the simulator.
//
// Tracking none, and adaptive in a settled slot: the slot's current owner; the flow table is not
// looked at. Else:
//
// clang-format off
//   packet                          all                  adaptive, shifting     adaptive, pinned
//   ------------------------------  -------------------  ---------------------  ----------------
//   recorded, backend may serve     as recorded; a SYN only if the record is not closing and either
//                                   the backend is not draining or the record is live, else
//                                   current, record replaced
//   recorded, backend down or gone  current, record replaced
//   SYN without a record            current, recorded    current, recorded      current
//   UDP without a record            current, recorded    stable, recorded (p)   current
//   other without a record          current, recorded    stable, recorded (p)   current
//   RST without a record            current              stable                 current
// clang-format on
//
// (p): class pinned. A record that has expired and was not swept yet counts as none, and its place
// is used. A stable owner that is down is never used: then current, recorded (class new, since
// nothing leads back to it). FIN and RST set kRecordClosing, payload without them clears it. SYN
// means SYN alone: a SYN-ACK is an answer. The first packet that is no SYN again confirms a record.
// A weight of 0 keeps recorded flows. A record is live while it is confirmed and a packet other than
// a SYN used it within kLiveTicks.
//
// The trade: whoever uses a port again within that time while his old connection's backend drains is
// sent there once more. Were it otherwise, one SYN with any sequence number, which anybody can send
// who knows the client's address and port, would move a living connection and so end it.
//
// UDP has no SYN, so that under `adaptive` what is not recorded counts as old: nothing breaks, but
// new flows of a shifting slot follow its old owner until T is over. `all`, the default for UDP, is
// for those who cannot have that.
//
// A burst: per packet PrefetchSlot; then per packet the slot is read, and the flow table's buckets are
// asked for only where they will be looked at (PrefetchRecord; the select stage does it as it goes);
// then per packet SelectBackend. A service whose slots are settled thus costs what one without tracking
// does.
#pragma once

#include <cstdint>
#include <string_view>

#include "lib/base/prefetch.h"
#include "lib/flow/flow_table.h"
#include "lib/net/headers.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

// For so long after its last packet a connection is not given up for a SYN.
inline constexpr uint32_t kLiveTicks = 60 * kTicksPerSecond;

enum class SelectReason : uint8_t {
  kSlot,      // the slot's owner; no record was used
  kRecorded,  // as the flow's record says
  kNewFlow,   // the slot's owner; recorded now
  kStable,  // the owner before the slot's change, for a flow older than that; recorded unless a RST
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
  bool stored = false;   // a record was made, or replaced one that was of no more use
  bool evicted = false;  // another live record made room for it
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

// Where the flow's slot is.
inline const std::atomic<uint32_t>* SlotWord(const ServiceEntry& service, const FlowHash& hash) {
  return &service.slots[SlotIndex(hash, service.slot_count)];
}

// The slot's current owner as an index into ForwardingTables::backends(), kNoIndex if nobody may
// serve.
inline uint32_t OwnerIn(const ServiceEntry& service, uint32_t word) {
  const uint16_t current = Slot::Unpack(word).current;
  return current == kNoOwner ? kNoIndex : service.first_backend + current;
}
inline uint32_t SlotOwner(const ServiceEntry& service, const FlowHash& hash) {
  return OwnerIn(service, SlotWord(service, hash)->load(std::memory_order_relaxed));
}

// True when the choice needs the flow table: `word` is the flow's slot.
inline bool NeedsRecord(const ServiceEntry& service, uint8_t protocol, uint32_t word) {
  const Tracking tracking = TrackingOf(service, protocol);
  return tracking == Tracking::kAll || (tracking == Tracking::kAdaptive && !Slot::IsSettled(word));
}

// The flow's slot, asked for.
[[gnu::always_inline]] inline const std::atomic<uint32_t>* PrefetchSlot(const ServiceEntry& service,
                                                                        const FlowHash& hash) {
  const std::atomic<uint32_t>* const slot = SlotWord(service, hash);
  PrefetchLine(slot);
  return slot;
}

// The slot's word, to be handed to SelectBackend; asks for the flow table's buckets if they will be
// looked at. (always_inline: see PrefetchLine.)
[[gnu::always_inline]] inline uint32_t PrefetchRecord(const ServiceEntry& service,
                                                      const FlowHash& hash, uint8_t protocol,
                                                      const FlowTable* flows) {
  const uint32_t word = SlotWord(service, hash)->load(std::memory_order_relaxed);
  if (NeedsRecord(service, protocol, word)) flows->Prefetch(RecordKey::Make(hash, service.salt));
  return word;
}

// SelectBackend where NeedsRecord.
Selection SelectTracked(const ForwardingTables& tables, const ServiceEntry& service, uint32_t word,
                        const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick,
                        FlowTable* flows);

// Any worker. `hash` by HashFlow under the service's policy; `word`: of SlotWord. `flows` may be null
// only when the service tracks nothing. Updates the flow table (record, last seen, flags) as the
// table above says.
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
  const uint32_t word = SlotWord(service, hash)->load(std::memory_order_relaxed);
  return SelectBackend(tables, service, word, hash, facts, now_tick, flows);
}

// Any thread. What SelectBackend would answer, without changing anything, were the flow table free
// of contention. `record` null = none.
Selection ExplainBackend(const ForwardingTables& tables, const ServiceEntry& service, uint32_t word,
                         const PacketFacts& facts, uint32_t now_tick, const FlowRecord* record);

}  // namespace fairlead
