// What a worker does with a burst of packets. No DPDK: tests, fuzzers and benches call it as the
// worker does.
//
//   ParseHeaders -> LookupServices -> SelectBackends -> Rewrite
//                              \-> Answer (ARP, neighbour solicitation, echo)
//
// Order of judgement of one frame; the first that applies wins (docs/packet-rules.md):
//    1. destination MAC of another station                                    drop other_mac
//    2. destination address unreadable                                        drop, the defect
//    3. not about a frontend's address                                        to_kernel
//    4. unicast IP to a frontend inside a group frame                         drop group_mac
//    5. source is a frontend's address                                        drop bad_source
//    6. malformed behind the destination address                              drop, the defect
//    7. echo request or neighbour question                                    reply, or
//    rate_limited
//    8. other ICMP, other protocols                                           drop
//    9. no frontend of that protocol and port                                 drop no_frontend
//   10. TTL 1                                                                 drop ttl_expired
//   11. fragment                                                              drop fragment
//   12. nobody to serve, next hop unknown, larger than the egress MTU         drop
//   13. else                                                                  forward
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/pipeline/burst.h"
#include "dataplane/pipeline/counters.h"
#include "dataplane/pipeline/token_bucket.h"
#include "lib/flow/flow_table.h"
#include "lib/net/address.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

inline constexpr uint32_t kMaxPortMacs = 8;

// What the stages know of a port. Immutable while workers run.
struct PortView {
  MacAddress mac;  // own address: source of what leaves here
  // Addresses whose frames are ours, as 48-bit numbers in memory order: `mac`, then extra ones.
  std::array<uint64_t, kMaxPortMacs> accepted = {};
  uint32_t accepted_count = 0;
  uint16_t mtu = 1500;  // largest IP packet, bytes

  // REQUIRES fewer than kMaxPortMacs - 1 extra ones.
  static PortView Make(const MacAddress& mac, std::span<const MacAddress> extra, uint16_t mtu);
};

// One per worker; the worker sets tables and clocks before each burst.
struct PipelineContext {
  const ForwardingTables* tables = nullptr;  // null until the first snapshot: all is the kernel's
  FlowTable* flows = nullptr;                // may be null when no service tracks
  std::span<const PortView> ports;
  uint32_t now_tick = 0;  // coarse ticks (flow_table.h)
  uint64_t now_us = 0;    // monotonic, for rate limits
  TokenBucket replies{1000, 1000};
  WorkerCounters* counters = nullptr;
};

// Gives every packet of the burst its verdict and counts it: rx, drops, to_kernel, generated, and
// the service's and backend's counters. What is left to the caller is to send the packets whose
// verdict is kForward or kReply and to count them with CountSent and CountUnsent. No allocation.
void ProcessBurst(PipelineContext& context, Burst& burst);

// A packet of that many bytes went out, or was given back by a full queue.
inline void CountSent(WorkerCounters* counters, uint64_t packets, uint64_t bytes) {
  Add(&counters->totals.tx_packets, packets);
  Add(&counters->totals.tx_bytes, bytes);
}
inline void CountUnsent(WorkerCounters* counters, uint64_t packets) {
  Add(&counters->totals.drops[static_cast<size_t>(DropReason::k_tx_full)], packets);
}

}  // namespace fairlead
