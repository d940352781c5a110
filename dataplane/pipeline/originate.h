// What the pipeline makes of its own accord: ICMP errors, resets, and the further pieces of a packet
// that has to be cut. Each made frame counts as generated. Rare; needs PipelineContext::buffers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "dataplane/pipeline/pipeline.h"
#include "lib/net/icmp_generate.h"

namespace fairlead {

// Tells the sender of packet `i`, which must be as it came in, that it was dropped, if that is
// allowed (icmp_generate.h) and within the rate limit. The source is the ingress port's own address
// of the family, else `frontend`; of kPortUnreachable always `frontend`, as of any host. `mtu`: of
// kTooBig.
void SendIcmpError(PipelineContext& context, Burst& burst, uint32_t i, IcmpErrorKind kind,
                   const IpAddress& frontend, uint32_t mtu);

// Tells the sender of packet `i`, which must be as it came in, that its service has nobody for it, if
// that is allowed (refusal.h) and within the rate limit: of resets, or of ICMP errors. The caller drops
// the packet.
void RefuseClient(PipelineContext& context, Burst& burst, uint32_t i);

// True when packet `i` is IPv4 and does not forbid cutting.
bool MayCut(const Burst& burst, uint32_t i);

// What is put in front of each piece; null members: nothing, the frame's own Ethernet header stays.
struct PieceTunnel {
  const TunnelTemplate* tunnel = nullptr;
  uint64_t entropy = 0;
  const uint8_t* destination_mac = nullptr;
  const uint8_t* source_mac = nullptr;
  bool udp_checksum = false;
  std::span<const uint8_t> data = {};  // GUE's private data
};

// Cuts packet `i`, whose egress port is set, into pieces of at most `mtu` bytes of IP: the first
// stays in place, the others become made frames. Without a tunnel the packet is rewritten already.
// kNone, or why nothing was done: too_big, no_buffer, no_headroom.
DropReason CutPacket(PipelineContext& context, Burst& burst, uint32_t i, uint32_t mtu,
                     const PieceTunnel& tunnel);

// What lies behind the IP packet is padding.
inline void TrimPadding(Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  const uint32_t end = uint32_t{packet.l3_offset} + packet.l3_length;
  burst.frame_length[i] = end;
  burst.linear_length[i] = std::min(burst.linear_length[i], end);
}

// Puts packet `i` into the tunnel, without padding; l3_offset is the outer header's then. kNone or
// no_headroom.
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
// The same, and fills in GUE's outer UDP checksum.
DropReason EncapsulateWithChecksum(PipelineContext& context, Burst& burst, uint32_t i,
                                   const PieceTunnel& tunnel);

}  // namespace fairlead
