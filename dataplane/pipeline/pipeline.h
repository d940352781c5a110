// Processes a burst of packets. No DPDK: tests, fuzzers and benches call it as the worker does.
//
// The stages, in order; each works on the whole burst (stages.h):
//   ParseHeaders      packet -> headers and flow key
//   LookupServices    to a service, to the kernel, or into the list of a rare stage
//   SelectBackends    packets of services -> backend
//   FollowHandshakes  rare: of services whose outliers are looked for
//   HandleFragments   rare; adds fragments to the packets of services
//   ForwardErrors     rare; adds ICMP errors about flows to them
//   Rewrite           packets of services, by mode (rewrite_row.h)
//   TranslateReplies  rare: packets of nat backends to clients
//   Answer            rare: ARP, neighbour solicitation, echo
//   CountVerdicts
//
// Rules for one frame, in order; the first that applies decides (docs/packet-rules.md):
//    1. destination MAC of another station                drop other_mac
//    2. destination address unreadable                    drop, reason: the defect
//    3. not about a frontend's address                    to_kernel; from a nat backend's service
//                                                         port, or an ICMP error about a packet
//                                                         that nat sent: continue with rule 10
//    4. unicast IP to a frontend in a group frame         drop group_mac
//    5. source is a frontend's address                    drop bad_source
//    6. malformed after the destination address           drop, reason: the defect
//    7. echo request or neighbour request                 answer, or drop rate_limited
//    8. ICMP error about a service's flow                 forward to the flow's backend
//       other ICMP, other protocols                       drop
//    9. no frontend with that protocol and port           drop no_frontend
//   10. TTL 1 in dsr and nat                              drop ttl_expired (*)
//   11. later fragment before the first one               held, then as the first one
//   12. no backend, or unknown next hop                   drop; no backend: the client gets a reset
//                                                         if the service asks for it
//       nat: AH, or a backend that is its own client      drop ah_nat, hairpin
//   13. larger than the egress MTU                        cut, or drop too_big (*)
//   14. all others                                        forward
//
// (*) The sender gets an ICMP error, within the rate limit (originate.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/pipeline/burst.h"
#include "dataplane/pipeline/counters.h"
#include "dataplane/pipeline/handshake_table.h"
#include "dataplane/pipeline/token_bucket.h"
#include "lib/flow/flow_table.h"
#include "lib/flow/fragment_store.h"
#include "lib/net/address.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

inline constexpr uint32_t kMaxPortMacs = 8;

// A port as the stages see it. Immutable while workers run.
struct PortView {
  MacAddress mac;  // the port's own address: source of frames that leave here
  // Accepted destination MACs, as 48-bit numbers in memory order: `mac`, then extra ones.
  std::array<uint64_t, kMaxPortMacs> accepted = {};
  uint32_t accepted_count = 0;
  uint16_t mtu = 1500;  // largest IP packet, bytes
  // The port's own addresses, the source of ICMP errors. Unset: it has none of the family.
  std::optional<IpAddress> address_v4;
  std::optional<IpAddress> address_v6;

  // REQUIRES fewer than kMaxPortMacs extra addresses.
  static PortView Make(const MacAddress& mac, std::span<const MacAddress> extra, uint16_t mtu,
                       std::span<const IpAddress> addresses = {});
};

// One per worker. The worker sets tables and clocks before each burst.
struct PipelineContext {
  const ForwardingTables* tables = nullptr;  // null before the first snapshot: all to the kernel
  FlowTable* flows = nullptr;                // may be null if no service tracks flows
  std::span<const PortView> ports;
  uint32_t now_tick = 0;  // coarse ticks (flow_table.h)
  uint64_t now_us = 0;    // for rate limits
  TokenBucket echo_replies{1000, 1000};
  // Separate from echo replies: a ping flood must not prevent neighbour replies to routers.
  TokenBucket neighbour_replies{1000, 1000};
  TokenBucket icmp_errors{1000, 1000};
  TokenBucket resets{1000, 1000};
  FragmentStore* fragments = nullptr;    // null: fragments are dropped
  BufferSource* buffers = nullptr;       // null: nothing is made, held or gathered
  HandshakeTable* handshakes = nullptr;  // null: handshakes are not followed
  WorkerCounters* counters = nullptr;
  NextBurst next_burst;  // set by the caller before each burst
  ArrivalHints hints;    // set by the stages during each burst
};

// Gives every packet of the burst its verdict, and counts it: rx, drops, to_kernel, generated, and
// the counters of its service and backend. The caller sends the packets with verdict kForward or
// kAnswer and the frames in burst.made. It counts them with CountSent and CountUnsent. The fragment
// store owns packets with verdict kHeld. Allocates no memory.
void ProcessBurst(PipelineContext& context, Burst& burst);

// Fills `burst` with fragments that no longer wait, and gives them verdicts, as ProcessBurst does.
// They are not counted as received again. Returns the number of packets; kMaxBurst: there may be
// more. The caller calls it after a few bursts, and when it found no packets. With `all` (at exit),
// all waiting fragments time out. REQUIRES that context.fragments and context.tables are not null.
uint32_t ReleaseFragments(PipelineContext& context, Burst& burst, bool all);

// Counts followed handshakes whose time is over, in a part of the table. The caller calls it at
// least 20 times a second, also without packets: a round of the table takes 16 calls. REQUIRES that
// context.handshakes is not null.
void ExpireHandshakes(PipelineContext& context);

// Counts packets that were sent, or that a full transmit queue did not accept.
inline void CountSent(WorkerCounters* counters, uint64_t packets, uint64_t bytes) {
  Add(&counters->totals.tx_packets, packets);
  Add(&counters->totals.tx_bytes, bytes);
}
inline void CountUnsent(WorkerCounters* counters, uint64_t packets) {
  Add(&counters->totals.drops[static_cast<size_t>(DropReason::k_tx_full)], packets);
}

}  // namespace fairlead
