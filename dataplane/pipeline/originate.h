// Frames that the pipeline makes: ICMP errors, TCP resets, and the further pieces of a cut packet.
// Each counts as generated. They are rare, and need PipelineContext::buffers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "dataplane/pipeline/pipeline.h"
#include "lib/net/icmp_generate.h"

namespace fairlead {

// Sends an ICMP error to the sender of packet `i`, if that is allowed (icmp_generate.h) and within
// the rate limit. The source is the ingress port's address of the family, else `frontend`. The
// source of kPortUnreachable is always `frontend`, since it comes from the destination host. `mtu`:
// for kTooBig. REQUIRES that the packet is as received.
void SendIcmpError(PipelineContext& context, Burst& burst, uint32_t i, IcmpErrorKind kind,
                   const IpAddress& frontend, uint32_t mtu);

// Tells the sender of packet `i` that its service has no backend: with a TCP reset or an ICMP
// error, if that is allowed (refusal.h) and within the rate limit of resets or ICMP errors. The
// caller drops the packet. REQUIRES that the packet is as received.
void RefuseClient(PipelineContext& context, Burst& burst, uint32_t i);

// True if packet `i` is IPv4 without DF.
bool MayCut(const Burst& burst, uint32_t i);

// The encapsulation of each piece. Without `tunnel` the pieces keep the frame's Ethernet header.
struct PieceTunnel {
  const TunnelTemplate* tunnel = nullptr;
  uint64_t entropy = 0;
  const uint8_t* destination_mac = nullptr;
  const uint8_t* source_mac = nullptr;
  bool udp_checksum = false;
  std::span<const uint8_t> data = {};  // GUE's private data
};

// Cuts packet `i` into pieces of at most `mtu` bytes of IP. The first stays in place, the others
// become made frames. Without a tunnel, the packet must be rewritten already. Returns kNone, or why
// nothing was done: too_big, no_buffer, no_headroom. REQUIRES a set egress port.
DropReason CutPacket(PipelineContext& context, Burst& burst, uint32_t i, uint32_t mtu,
                     const PieceTunnel& tunnel);

// Removes the padding behind the IP packet.
inline void TrimPadding(Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  const uint32_t end = uint32_t{packet.l3_offset} + packet.l3_length;
  burst.frame_length[i] = end;
  burst.linear_length[i] = std::min(burst.linear_length[i], end);
}

// Encapsulates packet `i`, without padding. Afterwards l3_offset is the outer header's. Returns
// kNone or no_headroom.
inline DropReason EncapsulatePacket(Burst& burst, uint32_t i, const PieceTunnel& tunnel) {
  TrimPadding(burst, i);
  const uint32_t prepended =
      Encapsulate(*tunnel.tunnel, burst.frame[i], burst.headroom[i], burst.packet[i],
                  tunnel.entropy, tunnel.destination_mac, tunnel.source_mac, tunnel.data);
  if (prepended == 0) return DropReason::k_no_headroom;
  burst.frame[i] -= prepended;
  burst.linear_length[i] += prepended;
  burst.frame_length[i] += prepended;
  burst.headroom[i] = static_cast<uint16_t>(burst.headroom[i] - prepended);
  return DropReason::kNone;
}
// The same, and also sets GUE's outer UDP checksum.
DropReason EncapsulateWithChecksum(PipelineContext& context, Burst& burst, uint32_t i,
                                   const PieceTunnel& tunnel);

}  // namespace fairlead
