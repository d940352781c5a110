#include "lib/net/parse.h"

#include <bit>

#include "lib/base/check.h"

namespace fairlead {
namespace parse_internal {
namespace {

static_assert(std::endian::native == std::endian::little);  // Load and the words of FlowKey

// The frame that is parsed.
struct Frame {
  const uint8_t* bytes;
  uint32_t linear;  // contiguous bytes
  uint32_t length;  // all bytes
};

template <typename Header>
const Header& At(const Frame& frame, uint32_t offset) {
  return *reinterpret_cast<const Header*>(frame.bytes + offset);
}

bool UnusableIpv4(uint8_t first) { return first == 0 || first == 127 || first >= 224; }

// As IpAddress::IsUnusable: ::, ::1, ::ffff:0:0/96, ff00::/8.
bool UnusableIpv6(const uint8_t* source) {
  if (source[0] == 0xff) return true;
  if (Load<uint64_t>(source) != 0) return false;
  const uint64_t low = __builtin_bswap64(Load<uint64_t>(source + 8));
  return low <= 1 || low >> 32 == 0xffff;
}

bool IsUnspecifiedIpv6(const uint8_t* source) {
  return (Load<uint64_t>(source) | Load<uint64_t>(source + 8)) == 0;
}

DropReason ParseTcp(const Frame& frame, uint32_t l4, uint32_t size, ParsedPacket* packet,
                    uint32_t* ports) {
  if (size < sizeof(TcpHeader)) {
    return packet->is_fragment ? DropReason::k_fragment : DropReason::k_bad_tcp_header;
  }
  if (frame.linear < l4 + sizeof(TcpHeader)) return DropReason::k_truncated;
  const auto& tcp = At<TcpHeader>(frame, l4);
  const uint32_t header_length = uint32_t{tcp.data_offset} / 16 * 4;
  if (header_length < sizeof(TcpHeader)) return DropReason::k_bad_tcp_header;
  if (header_length > size && !packet->is_fragment) return DropReason::k_bad_tcp_header;
  packet->tcp_flags = tcp.flags;
  packet->has_payload = size > header_length;
  *ports = Load<uint32_t>(tcp.source_port.bytes);
  return DropReason::kNone;
}

DropReason ParseUdp(const Frame& frame, uint32_t l4, uint32_t size, ParsedPacket* packet,
                    uint32_t* ports) {
  if (size < sizeof(UdpHeader)) {
    return packet->is_fragment ? DropReason::k_fragment : DropReason::k_bad_udp_header;
  }
  if (frame.linear < l4 + sizeof(UdpHeader)) return DropReason::k_truncated;
  const auto& udp = At<UdpHeader>(frame, l4);
  const uint32_t length = udp.length.host();
  if (length < sizeof(UdpHeader)) return DropReason::k_bad_udp_header;
  if (length > size && !packet->is_fragment) return DropReason::k_bad_udp_header;
  if (packet->kind == FrameKind::kIpv6 && udp.checksum.raw() == 0) {
    return DropReason::k_zero_udp_checksum;
  }
  packet->has_payload = length > sizeof(UdpHeader) && size > sizeof(UdpHeader);
  *ports = Load<uint32_t>(udp.source_port.bytes);
  return DropReason::kNone;
}

bool IsBalancedOrIcmp(uint8_t protocol, FrameKind kind) {
  if (protocol == kIpProtoTcp || protocol == kIpProtoUdp) return true;
  return protocol == (kind == FrameKind::kIpv4 ? kIpProtoIcmp : kIpProtoIcmpv6);
}

// Parses from l4_offset to `end`, where the IP packet ends. `ports`: as in the key; stays 0 if
// there are none.
DropReason ParseTransport(const Frame& frame, uint32_t end, ParsedPacket* packet, uint32_t* ports) {
  const uint32_t l4 = packet->l4_offset;
  const uint32_t size = end - l4;
  const uint8_t protocol = packet->l4_protocol;
  const bool opaque = packet->later_fragment && packet->kind == FrameKind::kIpv6;
  if (!opaque && !IsBalancedOrIcmp(protocol, packet->kind)) {
    return DropReason::k_unsupported_protocol;
  }
  if (packet->later_fragment) {
    packet->has_payload = size > 0;
    return DropReason::kNone;
  }
  DropReason defect;
  if (protocol == kIpProtoTcp) {
    defect = ParseTcp(frame, l4, size, packet, ports);
  } else if (protocol == kIpProtoUdp) {
    defect = ParseUdp(frame, l4, size, packet, ports);
  } else {
    if (size < sizeof(IcmpHeader)) return DropReason::k_bad_icmp;
    if (frame.linear < l4 + sizeof(IcmpHeader)) return DropReason::k_truncated;
    packet->has_payload = size > sizeof(IcmpHeader);
    return DropReason::kNone;
  }
  if (defect != DropReason::kNone) return defect;
  const bool zero = (*ports & 0xffff) == 0 || *ports >> 16 == 0;
  return zero ? DropReason::k_port_zero : DropReason::kNone;
}

DropReason ParseIpv4(const Frame& frame, ParsedPacket* packet, uint32_t* ports) {
  const uint32_t l3 = packet->l3_offset;
  const auto& ip = At<Ipv4Header>(frame, l3);
  if (ip.version_ihl >> 4 != 4) return DropReason::k_bad_ip_version;
  const uint32_t header_length = ip.header_length();
  if (header_length < sizeof(Ipv4Header)) return DropReason::k_bad_ip_header;
  if (header_length > frame.length - l3) return DropReason::k_bad_ip_header;
  const uint32_t total = ip.total_length.host();
  if (total < header_length || total > frame.length - l3) return DropReason::k_bad_ip_length;
  if (UnusableIpv4(ip.source.bytes[0])) return DropReason::k_bad_source;
  if (ip.ttl == 0) return DropReason::k_ttl_zero;
  const uint32_t fragment = ip.flags_fragment.host();
  const uint32_t fragment_offset = (fragment & kIpv4OffsetMask) * 8;
  packet->later_fragment = fragment_offset != 0;
  packet->is_fragment = (fragment & (kIpv4OffsetMask | kIpv4MoreFragments)) != 0;
  if (packet->later_fragment && fragment_offset + total > 65535) return DropReason::k_fragment;
  packet->l4_protocol = ip.protocol;
  packet->l3_length = static_cast<uint16_t>(total);
  packet->l4_offset = static_cast<uint16_t>(l3 + header_length);
  return ParseTransport(frame, l3 + total, packet, ports);
}

bool IsExtension(uint8_t next_header) {
  switch (next_header) {
    case kIpProtoHopByHop:
    case kIpProtoRouting:
    case kIpProtoFragment:
    case kIpProtoAh:
    case kIpProtoDestinationOptions:
      return true;
    default:
      return false;
  }
}

// True if the options of a hop-by-hop header (RFC 8200, 4.2) are well formed and contain no jumbo
// payload option (RFC 2675).
bool HopByHopIsGood(const uint8_t* header, uint32_t length) {
  constexpr uint8_t kPad1 = 0;
  constexpr uint8_t kJumboPayload = 0xc2;
  uint32_t at = 2;
  while (at < length) {
    if (header[at] == kPad1) {
      ++at;
      continue;
    }
    if (header[at] == kJumboPayload || at + 2 > length) return false;
    at += 2U + header[at + 1];
  }
  return at == length;
}

// The state of the walk through the extension headers.
struct Chain {
  uint8_t protocol;          // of the header after the last one walked
  uint32_t l4;               // where that header begins
  uint32_t fragment_offset;  // bytes
  bool has_fragment_header;
};

DropReason ReadFragmentHeader(const Frame& frame, Chain* chain, ParsedPacket* packet) {
  if (chain->has_fragment_header) return DropReason::k_bad_extension;
  chain->has_fragment_header = true;
  const uint32_t field = At<Ipv6FragmentHeader>(frame, chain->l4).offset_more.host();
  chain->fragment_offset = field & 0xfff8U;
  packet->later_fragment = chain->fragment_offset != 0;
  packet->is_fragment = packet->later_fragment || (field & 1) != 0;
  return DropReason::kNone;
}

uint32_t ExtensionLength(uint8_t type, uint8_t length_field) {
  if (type == kIpProtoFragment) return sizeof(Ipv6FragmentHeader);
  if (type == kIpProtoAh) return (uint32_t{length_field} + 2) * 4;
  return (uint32_t{length_field} + 1) * 8;
}

DropReason WalkExtensions(const Frame& frame, uint32_t end, Chain* chain, ParsedPacket* packet) {
  constexpr uint32_t kShortest = 8;
  constexpr uint32_t kShortestAh = 12;  // RFC 4302, 2: the fixed fields
  const uint32_t begin = chain->l4;
  for (uint32_t count = 0; IsExtension(chain->protocol) && !packet->later_fragment; ++count) {
    const uint8_t type = chain->protocol;
    const uint32_t at = chain->l4;
    if (type == kIpProtoHopByHop && count != 0) return DropReason::k_bad_extension;
    if (count == kMaxExtensionHeaders || end - at < kShortest) return DropReason::k_bad_extension;
    if (frame.linear < at + kShortest) return DropReason::k_truncated;
    const uint8_t* header = frame.bytes + at;
    const uint32_t length = ExtensionLength(type, header[1]);
    if (length > end - at || at - begin + length > kMaxExtensionBytes) {
      return DropReason::k_bad_extension;
    }
    if (frame.linear < at + length) return DropReason::k_truncated;
    DropReason defect = DropReason::kNone;
    const bool segments_left = type == kIpProtoRouting && header[3] != 0;
    const bool bad_options = type == kIpProtoHopByHop && !HopByHopIsGood(header, length);
    if (segments_left || bad_options) {
      defect = DropReason::k_bad_extension;
    } else if (type == kIpProtoFragment) {
      defect = ReadFragmentHeader(frame, chain, packet);
    } else if (type == kIpProtoAh) {
      if (length < kShortestAh) defect = DropReason::k_bad_extension;
      packet->has_ah = true;
    }
    if (defect != DropReason::kNone) return defect;
    chain->protocol = header[0];
    chain->l4 = at + length;
  }
  return DropReason::kNone;
}

// Checks the source. Duplicate address detection (RFC 4862, 5.4.2) solicits from :: and must be
// answered.
DropReason CheckSource(const Frame& frame, const uint8_t* source, const Chain& chain, uint32_t end,
                       const ParsedPacket& packet) {
  if (!UnusableIpv6(source)) return DropReason::kNone;
  if (!IsUnspecifiedIpv6(source) || chain.protocol != kIpProtoIcmpv6 || packet.is_fragment ||
      end - chain.l4 < sizeof(IcmpHeader)) {
    return DropReason::k_bad_source;
  }
  if (frame.linear < chain.l4 + sizeof(IcmpHeader)) return DropReason::k_truncated;
  return At<IcmpHeader>(frame, chain.l4).type == kIcmpv6NeighbourSolicitation
             ? DropReason::kNone
             : DropReason::k_bad_source;
}

DropReason ParseIpv6(const Frame& frame, ParsedPacket* packet, uint32_t* ports) {
  const uint32_t l3 = packet->l3_offset;
  const auto& ip = At<Ipv6Header>(frame, l3);
  if (ip.version_class_flow.bytes[0] >> 4 != 6) return DropReason::k_bad_ip_version;
  const uint32_t payload_length = ip.payload_length.host();
  const uint32_t total = sizeof(Ipv6Header) + payload_length;
  if (total > frame.length - l3 || total > 65535) return DropReason::k_bad_ip_length;
  const uint32_t end = l3 + total;
  Chain chain{ip.next_header, l3 + static_cast<uint32_t>(sizeof(Ipv6Header)), 0, false};
  if (IsExtension(chain.protocol)) {
    const DropReason defect = WalkExtensions(frame, end, &chain, packet);
    if (defect != DropReason::kNone) return defect;
  }
  const DropReason source_defect = CheckSource(frame, ip.source, chain, end, *packet);
  if (source_defect != DropReason::kNone) return source_defect;
  if (ip.hop_limit == 0) return DropReason::k_ttl_zero;
  if (packet->later_fragment &&
      chain.fragment_offset + payload_length - sizeof(Ipv6FragmentHeader) > 65535) {
    return DropReason::k_fragment;
  }
  packet->l4_protocol = chain.protocol;
  packet->l3_length = static_cast<uint16_t>(total);
  packet->l4_offset = static_cast<uint16_t>(chain.l4);
  return ParseTransport(frame, end, packet, ports);
}

// Sets the defect and clears the fields that are not valid with a defect (see ParsedPacket).
void SetDefect(DropReason defect, ParsedPacket* packet) {
  ParsedPacket bare;
  bare.kind = packet->kind;
  bare.defect = defect;
  bare.group_mac = packet->group_mac;
  bare.vlan_count = packet->vlan_count;
  bare.l3_offset = packet->l3_offset;
  *packet = bare;
}

void FinishIpv4(const Frame& frame, ParsedPacket* packet, FlowKey* key) {
  packet->kind = FrameKind::kIpv4;
  uint32_t ports = 0;
  const DropReason defect = ParseIpv4(frame, packet, &ports);
  key->words[0] = Load<uint64_t>(At<Ipv4Header>(frame, packet->l3_offset).source.bytes);
  key->words[1] = defect != DropReason::kNone ? 0 : ports | uint64_t{packet->l4_protocol} << 32;
  key->size_bytes = 16;
  if (defect != DropReason::kNone) SetDefect(defect, packet);
}

void FinishIpv6(const Frame& frame, ParsedPacket* packet, FlowKey* key) {
  packet->kind = FrameKind::kIpv6;
  uint32_t ports = 0;
  const DropReason defect = ParseIpv6(frame, packet, &ports);
  std::memcpy(key->words.data(), At<Ipv6Header>(frame, packet->l3_offset).source, 32);
  key->words[4] = defect != DropReason::kNone ? 0 : ports | uint64_t{packet->l4_protocol} << 32;
  key->size_bytes = 40;
  if (defect != DropReason::kNone) SetDefect(defect, packet);
}

}  // namespace

void ParseFrameGeneral(const uint8_t* frame_bytes, uint32_t linear_length, uint32_t frame_length,
                       ParsedPacket* packet, FlowKey* key) {
  DCHECK(linear_length <= frame_length);
  const Frame frame{frame_bytes, linear_length, frame_length};
  *packet = ParsedPacket{};
  packet->defect = DropReason::k_truncated;
  if (linear_length < sizeof(EthernetHeader)) return;
  packet->group_mac = (frame_bytes[0] & 1) != 0;
  uint32_t l3 = sizeof(EthernetHeader);
  uint16_t type = At<EthernetHeader>(frame, 0).ether_type.host();
  while (type == kEtherTypeVlan || type == kEtherTypeQinQ) {
    if (packet->vlan_count == kMaxVlanTags) {
      packet->defect = DropReason::k_vlan_depth;
      return;
    }
    if (linear_length < l3 + sizeof(VlanTag)) return;
    type = At<VlanTag>(frame, l3).ether_type.host();
    l3 += sizeof(VlanTag);
    ++packet->vlan_count;
  }
  packet->l3_offset = static_cast<uint16_t>(l3);
  const uint32_t left = linear_length - l3;
  if (type == kEtherTypeIpv4) {
    if (left < sizeof(Ipv4Header)) return;
    packet->defect = DropReason::kNone;
    FinishIpv4(frame, packet, key);
  } else if (type == kEtherTypeIpv6) {
    if (left < sizeof(Ipv6Header)) return;
    packet->defect = DropReason::kNone;
    FinishIpv6(frame, packet, key);
  } else if (type == kEtherTypeArp) {
    packet->kind = FrameKind::kArp;
    if (left >= sizeof(ArpPacket)) packet->defect = DropReason::kNone;
  } else {
    packet->kind = FrameKind::kOther;
    packet->defect = DropReason::kNone;
  }
}

}  // namespace parse_internal
}  // namespace fairlead
