// What a forwarding mode does to packets: one row for each mode, in its own file (rewrite_dsr.cc,
// rewrite_ipip.cc, ...). The mode's descriptor has its other properties (lib/mode/mode.h).
//
// A packet to a backend takes one of two paths. `fast_path` is a loop over the packets of a burst
// that are the common case (FastPath in lib/table/forwarding_tables.h). It does nothing else, and
// keeps its variables in registers (fast_path.h). All other packets take the slow path one by one
// (rewrite_stage.cc): next hop, egress port, size, VLAN tag, then `rewrite` or `cut`. For a packet
// that could take both paths, both must have the same result.
//
// Rows are constants. The slow path finds the row by the service's mode, for each packet. The fast
// path finds it once per loop over a burst.
#pragma once

#include <cstdint>

#include "dataplane/pipeline/pipeline.h"

namespace fairlead {

// One packet to a backend. Its egress port is set, and its VLAN tags are those that it leaves with.
struct RewriteJob {
  PipelineContext& context;
  Burst& burst;
  uint32_t i;
  const ServiceEntry& service;
  const BackendEntry& backend;

  uint8_t* frame() const { return burst.frame[i]; }
  const ParsedPacket& packet() const { return burst.packet[i]; }
  const uint8_t* source_mac() const { return context.ports[burst.egress_port[i]].mac.bytes.data(); }
  const TunnelTemplate& tunnel() const { return context.tables->tunnel(burst.backend[i]); }
};

// One packet from the backend in `nat_row` to a client. Egress port and tags as in RewriteJob.
struct ReplyJob {
  PipelineContext& context;
  Burst& burst;
  uint32_t i;
  const NatRow& nat_row;
  const ClientHop& hop;

  uint8_t* frame() const { return burst.frame[i]; }
  const ParsedPacket& packet() const { return burst.packet[i]; }
  const uint8_t* source_mac() const { return context.ports[burst.egress_port[i]].mac.bytes.data(); }
};

// Rewrites and counts the packets in `list` that are the common case of this path. Leaves the
// others in `list`, in order, and returns their number. REQUIRES tables.
using FastPathFn = uint32_t (*)(PipelineContext& context, Burst& burst, uint8_t* list,
                                uint32_t count);

struct RewriteRow {
  // Rewrites a packet that fits the MTU. Returns kNone, or the drop reason.
  DropReason (*rewrite)(const RewriteJob& job) = nullptr;
  // Cuts a packet into pieces of at most `mtu` bytes, not counting the mode's overhead. REQUIRES
  // that the packet may be cut.
  DropReason (*cut)(const RewriteJob& job, uint32_t mtu) = nullptr;
  // Tunnels: by the backend's family. Other modes: the first is for both. Null: all packets take
  // the slow path.
  FastPathFn fast_path[2] = {};
  // Gives a reply its frontend's address. Null: the mode does not translate replies.
  DropReason (*rewrite_reply)(const ReplyJob& job) = nullptr;
};

// All rows, by mode (rewrite_list.cc).
extern const RewriteRow* const kRewriteRows[];

inline const RewriteRow& RewriteRowOf(ForwardingMode mode) {
  return *kRewriteRows[static_cast<uint8_t>(mode)];
}

inline DropReason RewriteByMode(const RewriteJob& job) {
  return RewriteRowOf(job.service.mode).rewrite(job);
}

// RewriteRow::cut for modes without a tunnel. Rewrites the packet first, so that addresses, TTL and
// checksums are correct in every piece.
DropReason RewriteThenCut(const RewriteJob& job, uint32_t mtu);

}  // namespace fairlead
