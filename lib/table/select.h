// The choice of a backend for one packet: the heart of the balancer, shared by the pipeline,
// `explain` and the simulator.
//
//   packet                         tracking none       tracking all
//   ----------------------------   -----------------
//   --------------------------------------------------- SYN, or UDP without a record   slot's owner
//   slot's owner, recorded (TCP: once more packets: confirmed) recorded, backend may serve slot's
//   owner        as recorded; a SYN only if not closing and not draining recorded, backend
//   down/gone    slot's owner        slot's owner, record replaced other, not recorded slot's owner
//   slot's owner, recorded (class pinned), but never by a RST
//
// `adaptive` is treated as `all` until slots have states (docs/limitations.md): no flow breaks, but
// every flow costs a record.
#pragma once

#include <cstdint>
#include <string_view>

#include "lib/flow/flow_table.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

enum class SelectReason : uint8_t {
  kSlot,       // the slot's owner, no record was consulted
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

// Any worker. `hash` of the key already reduced by the service's policy. `flows` may be null only
// when the service tracks nothing. Updates the flow table (record, last seen, flags) as the table
// above says.
Selection SelectBackend(const ForwardingTables& tables, const ServiceEntry& service,
                        const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick,
                        FlowTable* flows);

// Any thread. What SelectBackend would answer, without changing anything. `record` null = none.
Selection ExplainBackend(const ForwardingTables& tables, const ServiceEntry& service,
                         const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick,
                         const FlowRecord* record);

// After a FIN or RST a flow without data counts as gone this long after its last packet. Long
// enough for the last ACKs of a close, short enough that a drain ends soon after its last flow
// does.
inline constexpr uint32_t kClosingTicks = 10 * kTicksPerSecond;

// True when `record` no longer stands for a live flow of `service`.
bool IsExpired(const FlowRecord& record, uint32_t now_tick, uint32_t idle_ticks);

}  // namespace fairlead
