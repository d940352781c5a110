// What a forwarding mode does to packets: one row for each mode, in a file of its own
// (rewrite_dsr.cc, rewrite_ipip.cc, ...). What else a mode is says its descriptor
// (lib/mode/mode.h).
//
// A packet to a backend takes one of two ways. `fast_path` is a loop over the packets of a burst
// that are the common case (FastPath in lib/table/forwarding_tables.h); it holds nothing more and
// keeps everything in registers (fast_path.h). What it leaves goes through the slow path, packet by
// packet (rewrite_stage.cc): next hop, egress port, size, VLAN tag, then `rewrite` or `cut`. Both
// must make the same of a packet that either could take.
//
// Rows are constants. A row is found by the service's mode in the slow path, and once per burst and
// loop in the fast one.
#pragma once

#include <cstdint>

#include "dataplane/pipeline/pipeline.h"

namespace fairlead {

// One packet on its way to its backend. Egress port set, tags as they leave.
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

// One packet on its way to a client, from the backend that `row` names. Likewise.
struct ReplyJob {
  PipelineContext& context;
  Burst& burst;
  uint32_t i;
  const NatRow& row;
  const ClientHop& hop;

  uint8_t* frame() const { return burst.frame[i]; }
  const ParsedPacket& packet() const { return burst.packet[i]; }
  const uint8_t* source_mac() const { return context.ports[burst.egress_port[i]].mac.bytes.data(); }
};

// Takes the packets in `list` that are the common case of that path, and counts them; leaves the
// others there, in order, and returns how many they are. REQUIRES tables.
using FastPathFn = uint32_t (*)(PipelineContext& context, Burst& burst, uint8_t* list,
                                uint32_t count);

struct RewriteRow {
  // Makes of a packet that fits what leaves. kNone, or why it is dropped.
  DropReason (*rewrite)(const RewriteJob& job) = nullptr;
  // Makes pieces of at most `mtu` bytes, before the mode's own overhead, of a packet that may be
  // cut.
  DropReason (*cut)(const RewriteJob& job, uint32_t mtu) = nullptr;
  // By the family of the backend for tunnels, IPv4's for both else; null: all take the slow path.
  FastPathFn fast_path[2] = {};
  // Gives a reply its frontend's address: where the mode translates replies, else null.
  DropReason (*rewrite_reply)(const ReplyJob& job) = nullptr;
};

// By mode; rewrite_list.cc.
extern const RewriteRow* const kRewriteRows[];

inline const RewriteRow& RewriteRowOf(ForwardingMode mode) {
  return *kRewriteRows[static_cast<uint8_t>(mode)];
}

inline DropReason RewriteByMode(const RewriteJob& job) {
  return RewriteRowOf(job.service.mode).rewrite(job);
}

// RewriteRow::cut of modes without a tunnel: the packet is rewritten first, so that addresses, TTL
// and checksums are right in every piece.
DropReason RewriteThenCut(const RewriteJob& job, uint32_t mtu);

}  // namespace fairlead
