// Up to 32 packets that pass the stages together, as a structure of arrays: each stage is a short
// loop over the few arrays that it needs.
//
// The caller (a worker, a test, a bench) fills `count` and the arrays of the first group, then
// calls ProcessBurst (pipeline.h), which fills the rest. A stage may move `frame` and change the
// lengths; the caller takes over what it finds there before it sends the packet.
//
// One per worker, reused; no stage relies on what an earlier burst left in it.
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
// Frames that the pipeline may make of one burst: enough to answer every packet, or to cut all of 32
// jumbo frames for an MTU of 1500.
inline constexpr uint32_t kMaxMade = 256;

// For whoever fills the next burst, whose packets will be like the last one's: their headers reach
// into the frame's second cache line (IPv6), or tunnels will write into the line before it.
struct ArrivalHints {
  bool mostly_ipv6 = false;
  bool mostly_tunnels = false;
};

// The burst behind this one, whose lines the stages ask for one by one as they go: a core has some two
// dozen lines outstanding at once, and waits where more are asked for together.
//
// Where its frames lie is guessed: as far from their buffers, the caller's, as this burst's. A wrong
// guess costs a line that nobody wanted.
struct ComingBurst {
  const uint8_t* const* buffers = nullptr;
  uint32_t count = 0;          // at most kMaxBurst
  ptrdiff_t frame_offset = 0;  // from a buffer to its frame
  ptrdiff_t extra_offset = 0;  // and to a further line of it; as frame_offset when none is wanted

  void AskForBuffer(uint32_t i) const {
    if (i < count) PrefetchLine(buffers[i]);
  }
  void AskForFrame(uint32_t i) const {
    if (i < count) PrefetchLine(buffers[i] + frame_offset);
  }
  void AskForExtra() const {
    if (extra_offset == frame_offset) return;
    for (uint32_t i = 0; i < count; ++i) PrefetchLine(buffers[i] + extra_offset);
  }
};

// Packets of a burst that a stage is to look at, by their places in it, in the order of their
// coming. The one way to leave a packet to a later stage.
struct PacketList {
  uint32_t count = 0;
  uint8_t place[kMaxBurst] = {};

  void Add(uint32_t i) { place[count++] = static_cast<uint8_t>(i); }
  // Leaves out those for which keep(i) is false.
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

  // The caller's.
  uint8_t* frame[kMaxBurst] = {};            // first byte of the Ethernet header
  uint32_t linear_length[kMaxBurst] = {};    // contiguous bytes at `frame`
  uint32_t frame_length[kMaxBurst] = {};     // the whole frame; larger when it spans segments
  uint16_t headroom[kMaxBurst] = {};         // free bytes before `frame`
  uint16_t tailroom[kMaxBurst] = {};         // free bytes behind frame + linear_length
  uint16_t ingress_port[kMaxBurst] = {};     // index into PipelineContext::ports
  bool nic_bad_ip_checksum[kMaxBurst] = {};  // the NIC checked the IPv4 header and found it wrong
  void* handle[kMaxBurst] = {};              // the caller's own (the mbuf); not looked at

  // The stages'.
  ParsedPacket packet[kMaxBurst];
  FlowKey key[kMaxBurst];
  FlowHash hash[kMaxBurst];
  uint32_t service[kMaxBurst] = {};  // index, or kNoService
  uint32_t backend[kMaxBurst] = {};  // index, or kNoIndex
  Verdict verdict[kMaxBurst] = {};
  DropReason reason[kMaxBurst] = {};     // kNone unless the verdict is kDrop
  uint16_t egress_port[kMaxBurst] = {};  // valid for kForward and kReply

  // What ParseHeaders leaves to LookupServices: packets that ParseCommon took, to an address of the
  // port; and a bit for each other that has no verdict yet.
  PacketList common;
  uint32_t others = 0;
  bool any_ipv6 = false;  // of all

  // Packets of a service that are still pending, in order: what LookupServices leaves to the stages
  // behind it.
  PacketList live;

  // Later fragments, which have no ports to look up: FollowFragments' to place. And whether some of
  // the live ones is a first fragment.
  PacketList fragments;
  bool has_first_fragment = false;

  // ICMP errors to frontends: ForwardErrors' to place.
  PacketList errors;

  // Packets from nat backends to clients, and the row that says who they come from.
  PacketList replies;
  const NatRow* nat_row[kMaxBurst] = {};

  // Questions that Answer shall reply to.
  PacketList questions;

  // What the pipeline made: to be sent by the caller, after the burst's own packets.
  uint32_t made_count = 0;
  MadeFrame made[kMaxMade];

  // The stages' lists, empty.
  void ClearLists() {
    common.count = live.count = fragments.count = errors.count = replies.count = questions.count =
        0;
    others = made_count = 0;
    any_ipv6 = has_first_fragment = false;
  }
};

}  // namespace fairlead
