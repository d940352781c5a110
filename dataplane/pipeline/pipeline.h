// What a worker does with a burst of packets. No DPDK: tests, fuzzers and benches call it as the
// worker does.
//
//   ParseHeaders -> LookupServices -> SelectBackends -> Rewrite (by mode: rewrite_row.h)
//                        |  |  |          FollowFragments, ForwardErrors /  (rare; back into Rewrite)
//                        |  |  \-> TranslateReplies (nat backend -> client)
//                        |  \-> Answer (ARP, neighbour solicitation, echo)
//                        \-> the kernel's
//
// Order of judgement of one frame; the first that applies wins (docs/packet-rules.md):
//    1. destination MAC of another station                                    drop other_mac
//    2. destination address unreadable                                        drop, the defect
//    3. not about a frontend's address                                        to_kernel, or if from
//       a nat backend's service port (or an ICMP error about what nat sent): as from 10 on
//    4. unicast IP to a frontend inside a group frame                         drop group_mac
//    5. source is a frontend's address                                        drop bad_source
//    6. malformed behind the destination address                              drop, the defect
//    7. echo request or neighbour question                                    reply, or
//    rate_limited
//    8. ICMP error about a service's flow                                     forward, by its flow
//       other ICMP, other protocols                                           drop
//    9. no frontend of that protocol and port                                 drop no_frontend
//   10. TTL 1, dsr and nat                                                    drop ttl_expired, told
//   11. later fragment before its first one                                   held, then as it
//   12. nobody to serve, next hop unknown                                     drop
//   13. larger than the egress MTU                                            cut, or drop too_big,
//                                                                             told
//   14. else                                                                  forward
//
// "Told": an ICMP error goes back, within the rate limit (originate.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/pipeline/burst.h"
#include "dataplane/pipeline/counters.h"
#include "dataplane/pipeline/token_bucket.h"
#include "lib/flow/flow_table.h"
#include "lib/flow/fragment_store.h"
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
  // The port's own addresses, source of ICMP errors, where it has one of the family.
  std::optional<IpAddress> address_v4;
  std::optional<IpAddress> address_v6;

  // REQUIRES fewer than kMaxPortMacs - 1 extra ones.
  static PortView Make(const MacAddress& mac, std::span<const MacAddress> extra, uint16_t mtu,
                       std::span<const IpAddress> addresses = {});
};

// One per worker; the worker sets tables and clocks before each burst.
struct PipelineContext {
  const ForwardingTables* tables = nullptr;  // null until the first snapshot: all is the kernel's
  FlowTable* flows = nullptr;                // may be null when no service tracks
  std::span<const PortView> ports;
  uint32_t now_tick = 0;  // coarse ticks (flow_table.h)
  uint64_t now_us = 0;    // monotonic, for rate limits
  TokenBucket echo_replies{1000, 1000};
  // Apart from echo's: who floods us with pings must not make routers forget where frontends are.
  TokenBucket neighbour_replies{1000, 1000};
  TokenBucket icmp_errors{1000, 1000};
  TokenBucket resets{1000, 1000};
  FragmentStore* fragments = nullptr;  // null: fragments are dropped
  BufferSource* buffers = nullptr;     // null: nothing is made, held or gathered
  WorkerCounters* counters = nullptr;
  ComingBurst coming;  // the caller's, before each burst
  ArrivalHints hints;  // the stages', after each burst
};

// Gives every packet of the burst its verdict and counts it: rx, drops, to_kernel, generated, and
// the service's and backend's counters. What is left to the caller is to send the packets whose
// verdict is kForward or kReply, and what is in burst.made, and to count them with CountSent and
// CountUnsent; a packet with verdict kHeld is the fragment store's now. No allocation.
void ProcessBurst(PipelineContext& context, Burst& burst);

// Fills `burst` with fragments that wait no longer and gives them their verdicts, as ProcessBurst
// does; they are not received again. The number of packets; kMaxBurst: there may be more. The caller
// calls it after a few bursts, and when it found no packets. With `all`, everything that waits is
// let go as timed out (at exit). REQUIRES context.fragments and tables not null.
uint32_t ReleaseFragments(PipelineContext& context, Burst& burst, bool all);

// A packet of that many bytes went out, or was given back by a full queue.
inline void CountSent(WorkerCounters* counters, uint64_t packets, uint64_t bytes) {
  Add(&counters->totals.tx_packets, packets);
  Add(&counters->totals.tx_bytes, bytes);
}
inline void CountUnsent(WorkerCounters* counters, uint64_t packets) {
  Add(&counters->totals.drops[static_cast<size_t>(DropReason::k_tx_full)], packets);
}

}  // namespace fairlead
