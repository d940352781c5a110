// Small accessors of a parsed packet, for several stages.
#pragma once

#include <cstdint>

#include "dataplane/pipeline/burst.h"
#include "lib/net/headers.h"

namespace fairlead {

inline uint8_t TtlOf(const uint8_t* frame, const ParsedPacket& packet) {
  return packet.kind == FrameKind::kIpv4
             ? reinterpret_cast<const Ipv4Header*>(frame + packet.l3_offset)->ttl
             : reinterpret_cast<const Ipv6Header*>(frame + packet.l3_offset)->hop_limit;
}

inline Family FamilyOf(const ParsedPacket& packet) {
  return packet.kind == FrameKind::kIpv4 ? Family::kIpv4 : Family::kIpv6;
}

inline bool IsTcpOrUdp(const ParsedPacket& packet) {
  return packet.l4_protocol == kIpProtoTcp || packet.l4_protocol == kIpProtoUdp;
}

// ICMP of the packet's own family.
inline bool IsIcmp(const ParsedPacket& packet) {
  return packet.l4_protocol == (packet.kind == FrameKind::kIpv4 ? kIpProtoIcmp : kIpProtoIcmpv6);
}

}  // namespace fairlead
