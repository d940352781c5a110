#include "lib/net/icmp_error.h"

#include <algorithm>
#include <cstring>

#include "lib/base/check.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint32_t kQuotedL4Bytes = 8;  // RFC 792: the first 64 bits of the datagram's data

// The quoted packet while it is read. Offsets are from the frame's start.
struct Quote {
  const uint8_t* frame;
  uint32_t end;  // where the ICMP message ends
  uint32_t l3;
  uint32_t l4 = 0;
  uint8_t protocol = 0;
  uint32_t packet_end = 0;  // where the quoted packet would end if it were quoted completely

  uint32_t left(uint32_t at) const { return end - at; }
};

bool ChecksumIsRight(const uint8_t* frame, const ParsedPacket& packet, uint32_t size) {
  uint64_t sum = 0;
  if (packet.kind == FrameKind::kIpv6) {
    const auto& ip = *reinterpret_cast<const Ipv6Header*>(frame + packet.l3_offset);
    sum = PseudoHeaderSum(IpAddress::FromV6(ip.source), IpAddress::FromV6(ip.destination),
                          kIpProtoIcmpv6, size);
  }
  return ChecksumFold(ChecksumPartial(frame + packet.l4_offset, size, sum)) == 0;
}

// Finds the quoted L4 header. The quoted total length may be larger than what is quoted.
bool WalkIpv4(Quote* quote) {
  if (quote->left(quote->l3) < sizeof(Ipv4Header)) return false;
  const auto& ip = *reinterpret_cast<const Ipv4Header*>(quote->frame + quote->l3);
  const uint32_t header_length = ip.header_length();
  if (ip.version_ihl >> 4 != 4 || header_length < sizeof(Ipv4Header)) return false;
  if (header_length > quote->left(quote->l3)) return false;
  if (ip.total_length.host() < header_length + kQuotedL4Bytes) return false;
  if (Checksum(&ip, header_length) != 0) return false;
  if ((ip.flags_fragment.host() & kIpv4OffsetMask) != 0) return false;
  quote->protocol = ip.protocol;
  quote->l4 = quote->l3 + header_length;
  quote->packet_end = quote->l3 + ip.total_length.host();
  return true;
}

uint32_t ExtensionLength(uint8_t type, uint8_t length_field) {
  switch (type) {
    case kIpProtoFragment:
      return sizeof(Ipv6FragmentHeader);
    case kIpProtoAh:
      return (uint32_t{length_field} + 2) * 4;
    default:
      return (uint32_t{length_field} + 1) * 8;
  }
}

bool IsExtension(uint8_t next_header) {
  return next_header == kIpProtoHopByHop || next_header == kIpProtoRouting ||
         next_header == kIpProtoFragment || next_header == kIpProtoAh ||
         next_header == kIpProtoDestinationOptions;
}

// Skips one extension header at quote->l4, with the limits of parse.h.
bool StepExtension(Quote* quote, uint32_t count) {
  const uint32_t at = quote->l4;
  if (count == kMaxExtensionHeaders || quote->left(at) < 8) return false;
  if (quote->protocol == kIpProtoHopByHop && count != 0) return false;
  const uint8_t* header = quote->frame + at;
  const uint32_t length = ExtensionLength(quote->protocol, header[1]);
  const uint32_t begin = quote->l3 + uint32_t{sizeof(Ipv6Header)};
  if (length > quote->left(at) || at + length - begin > kMaxExtensionBytes) return false;
  if (quote->protocol == kIpProtoRouting && header[3] != 0) return false;  // segments left
  if (quote->protocol == kIpProtoFragment) {
    const auto& fragment = *reinterpret_cast<const Ipv6FragmentHeader*>(header);
    if ((fragment.offset_more.host() & 0xfff8U) != 0) return false;
  }
  quote->protocol = header[0];
  quote->l4 = at + length;
  return true;
}

bool WalkIpv6(Quote* quote) {
  if (quote->left(quote->l3) < sizeof(Ipv6Header)) return false;
  const auto& ip = *reinterpret_cast<const Ipv6Header*>(quote->frame + quote->l3);
  if (ip.version_class_flow.bytes[0] >> 4 != 6) return false;
  quote->protocol = ip.next_header;
  quote->l4 = quote->l3 + uint32_t{sizeof(Ipv6Header)};
  for (uint32_t count = 0; IsExtension(quote->protocol); ++count) {
    if (!StepExtension(quote, count)) return false;
  }
  quote->packet_end = quote->l3 + uint32_t{sizeof(Ipv6Header)} + ip.payload_length.host();
  return quote->l4 + kQuotedL4Bytes <= quote->packet_end;
}

struct AddressPair {
  IpAddress source;
  IpAddress destination;
};

AddressPair ReadAddresses(const uint8_t* l3, FrameKind kind) {
  if (kind == FrameKind::kIpv4) {
    const auto& ip = *reinterpret_cast<const Ipv4Header*>(l3);
    return {IpAddress::FromV4(ip.source.bytes), IpAddress::FromV4(ip.destination.bytes)};
  }
  const auto& ip = *reinterpret_cast<const Ipv6Header*>(l3);
  return {IpAddress::FromV6(ip.source), IpAddress::FromV6(ip.destination)};
}

}  // namespace

DropReason ReadIcmpError(const uint8_t* frame, uint32_t length, const ParsedPacket& packet,
                         IcmpError* error) {
  DCHECK(packet.defect == DropReason::kNone);
  const bool v4 = packet.kind == FrameKind::kIpv4;
  if (packet.is_fragment) return DropReason::k_fragment;
  const uint32_t end = uint32_t{packet.l3_offset} + packet.l3_length;
  if (end > length || end < packet.l4_offset + sizeof(IcmpHeader)) return DropReason::k_bad_icmp;
  if (!IsForwardedIcmpError(v4 ? Family::kIpv4 : Family::kIpv6, frame[packet.l4_offset])) {
    return DropReason::k_icmp_unsupported;
  }
  if (!ChecksumIsRight(frame, packet, end - packet.l4_offset)) return DropReason::k_bad_icmp;
  Quote quote{frame, end, packet.l4_offset + uint32_t{sizeof(IcmpHeader)}};
  if (!(v4 ? WalkIpv4(&quote) : WalkIpv6(&quote))) return DropReason::k_bad_embedded;
  const AddressPair outer = ReadAddresses(frame + packet.l3_offset, packet.kind);
  const AddressPair inner = ReadAddresses(frame + quote.l3, packet.kind);
  if (inner.source != outer.destination) return DropReason::k_bad_embedded;
  if (quote.protocol != kIpProtoTcp && quote.protocol != kIpProtoUdp) {
    return DropReason::k_icmp_unsupported;
  }
  if (quote.left(quote.l4) < kQuotedL4Bytes) return DropReason::k_bad_embedded;
  const auto& ports = *reinterpret_cast<const UdpHeader*>(frame + quote.l4);
  if (ports.source_port.raw() == 0 || ports.destination_port.raw() == 0) {
    return DropReason::k_bad_embedded;
  }
  error->key = FlowKey::Make(inner.destination, ports.destination_port.host(), inner.source,
                             ports.source_port.host(), quote.protocol);
  error->protocol = quote.protocol;
  error->inner_l3_offset = static_cast<uint16_t>(quote.l3);
  error->inner_l4_offset = static_cast<uint16_t>(quote.l4);
  // After the quoted packet come padding or extensions (RFC 4884), which are not its L4.
  error->inner_l4_length = static_cast<uint16_t>(std::min(quote.end, quote.packet_end) - quote.l4);
  return DropReason::kNone;
}

}  // namespace fairlead
