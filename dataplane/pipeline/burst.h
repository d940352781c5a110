// Up to 32 packets that pass the stages together, as a structure of arrays. Each stage is a short
// loop over the few arrays that it needs.
//
// The caller (a worker, a test, a bench) fills `count` and the arrays of the first group. It then
// calls ProcessBurst (pipeline.h), which fills the rest. A stage may move `frame` and change the
// lengths; the caller uses the new values when it sends the packet.
//
// Each worker has one and reuses it. No stage relies on values from an earlier burst.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/pipeline/buffer_source.h"
#include "lib/base/prefetch.h"
#include "lib/counters/drop_reason.h"
#include "lib/flow/flow_hash.h"
#include "lib/net/flow_key.h"
#include "lib/net/parse.h"
#include "lib/table/nat_table.h"

namespace fairlead {

inline constexpr uint32_t kMaxBurst = 32;
// Frames that the pipeline may make for one burst. This is enough to answer every packet, or to cut
// 32 jumbo frames for an MTU of 1500.
inline constexpr uint32_t kMaxMade = 256;

// Prefetch hints for the next burst, whose packets are probably like those of the last one. IPv6
// headers reach into the frame's second cache line. Tunnels write into the line before the frame.
struct ArrivalHints {
  bool mostly_ipv6 = false;
  bool mostly_tunnels = false;
};

// The next burst. The stages prefetch its cache lines one by one while they work on the current
// burst: a core can have about two dozen lines outstanding, and stalls on more.
//
// The positions of its frames are guesses: at the same distance from their buffers as in the
// current burst. A wrong guess only costs a useless prefetch.
struct NextBurst {
  const uint8_t* const* buffers = nullptr;  // the caller's
  uint32_t count = 0;                       // at most kMaxBurst
  ptrdiff_t frame_offset = 0;               // from a buffer to its frame
  ptrdiff_t extra_offset = 0;  // to a further line of the frame; equal to frame_offset: none

  void PrefetchBuffer(uint32_t i) const {
    if (i < count) PrefetchLine(buffers[i]);
  }
  void PrefetchFrame(uint32_t i) const {
    if (i < count) PrefetchLine(buffers[i] + frame_offset);
  }
  void PrefetchExtraLines() const {
    if (extra_offset == frame_offset) return;
    for (uint32_t i = 0; i < count; ++i) PrefetchLine(buffers[i] + extra_offset);
  }
};

// Packets of a burst for a later stage: their indexes in the burst, in order of arrival. Stages
// pass packets to later stages only through such lists.
struct PacketList {
  uint32_t count = 0;
  uint8_t place[kMaxBurst] = {};

  void Add(uint32_t i) { place[count++] = static_cast<uint8_t>(i); }
  // Removes the packets for which keep(i) is false.
  template <typename Keep>
  void KeepIf(Keep keep) {
    uint32_t kept = 0;
    for (uint32_t n = 0; n < count; ++n) {
      const uint8_t i = place[n];
      if (keep(i)) place[kept++] = i;
    }
    count = kept;
  }
  const uint8_t* begin() const { return place; }
  const uint8_t* end() const { return place + count; }
};

struct Burst {
  uint32_t count = 0;  // packets, at most kMaxBurst

  // Filled by the caller.
  uint8_t* frame[kMaxBurst] = {};            // first byte of the Ethernet header
  uint32_t linear_length[kMaxBurst] = {};    // contiguous bytes at `frame`
  uint32_t frame_length[kMaxBurst] = {};     // the whole frame; larger when it spans segments
  uint16_t headroom[kMaxBurst] = {};         // free bytes before `frame`
  uint16_t tailroom[kMaxBurst] = {};         // free bytes behind frame + linear_length
  uint16_t ingress_port[kMaxBurst] = {};     // index into PipelineContext::ports
  bool nic_bad_ip_checksum[kMaxBurst] = {};  // the NIC checked the IPv4 header and found it wrong
  void* handle[kMaxBurst] = {};  // the caller's handle (the mbuf); the stages only pass it

  // Filled by the stages.
  ParsedPacket packet[kMaxBurst];
  FlowKey key[kMaxBurst];
  FlowHash hash[kMaxBurst];
  uint32_t service[kMaxBurst] = {};  // index, or kNoService
  uint32_t backend[kMaxBurst] = {};  // index, or kNoIndex
  Verdict verdict[kMaxBurst] = {};
  DropReason reason[kMaxBurst] = {};     // kNone unless the verdict is kDrop
  uint16_t egress_port[kMaxBurst] = {};  // valid for kForward and kAnswer

  // From ParseHeaders to LookupServices. `common`: packets to the port's first MAC address that
  // ParseCommonUnicast parsed. `others`: a bit for each other packet without a verdict.
  PacketList common;
  uint32_t others = 0;
  bool any_ipv6 = false;  // in `common` or `others`

  // A service's packets without a verdict, in order. From LookupServices to the later stages.
  PacketList live;

  // Later fragments, which have no ports. For HandleFragments.
  PacketList fragments;
  bool has_first_fragment = false;  // in `live`

  // ICMP errors to frontends. For ForwardErrors.
  PacketList errors;

  // Packets from nat backends to clients. The row identifies the backend's service port.
  PacketList replies;
  const NatRow* nat_row[kMaxBurst] = {};

  // Requests for Answer: ARP, neighbour solicitations, echo requests.
  PacketList questions;

  // Made frames. The caller sends them after the burst's own packets.
  uint32_t made_count = 0;
  MadeFrame made[kMaxMade];

  // Empties the stages' lists.
  void ClearLists() {
    common.count = live.count = fragments.count = errors.count = replies.count = questions.count =
        0;
    others = made_count = 0;
    any_ipv6 = has_first_fragment = false;
  }
};

}  // namespace fairlead
