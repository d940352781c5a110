#include "lib/encap/nat_icmp.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "lib/base/check.h"
#include "lib/encap/nat_checksum.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

using nat_internal::Load;
using nat_internal::NatEnd;
using nat_internal::Store;
using nat_internal::UpdateChecksum;
using nat_internal::UpdateUdpChecksum;

uint32_t AddressBytes(const ParsedPacket& packet) {
  return packet.kind == FrameKind::kIpv4 ? 4 : 16;
}

uint8_t* AddressField(uint8_t* l3, const ParsedPacket& packet, NatEnd end) {
  if (packet.kind == FrameKind::kIpv4) {
    return l3 + (end == NatEnd::kSource ? offsetof(Ipv4Header, source)
                                        : offsetof(Ipv4Header, destination));
  }
  return l3 + (end == NatEnd::kSource ? offsetof(Ipv6Header, source)
                                      : offsetof(Ipv6Header, destination));
}

// Replaces the `bytes` bytes at `field`, a multiple of 2, and returns the difference: the sum of
// (~from + to).
uint64_t Replace(uint8_t* field, const uint8_t* to, uint32_t bytes) {
  uint64_t difference = 0;
  for (uint32_t i = 0; i < bytes; i += sizeof(uint16_t)) {
    const auto word = Load<uint16_t>(to + i);
    difference += uint64_t{static_cast<uint16_t>(~Load<uint16_t>(field + i))} + word;
    Store(field + i, word);
  }
  return difference;
}

// Rewrites quoted TCP or UDP: the port at `end`, and the checksum if it is quoted.
void RewriteQuotedL4(uint8_t* l4, const IcmpError& error, NatEnd end, const NatEndpoint& endpoint,
                     uint64_t difference) {
  if (endpoint.port != 0) {
    const Be16 port = Be16::FromHost(endpoint.port);
    uint8_t* field = l4 + (end == NatEnd::kSource ? offsetof(UdpHeader, source_port)
                                                  : offsetof(UdpHeader, destination_port));
    difference += Replace(field, port.bytes, sizeof(port));
  }
  if (error.protocol == kIpProtoUdp) {
    UpdateUdpChecksum(l4 + offsetof(UdpHeader, checksum), difference);
  } else if (error.inner_l4_length >= offsetof(TcpHeader, checksum) + sizeof(Be16)) {
    UpdateChecksum(l4 + offsetof(TcpHeader, checksum), difference);
  }
}

// Translates the quoted packet and returns the change of the sum over it. The sum is computed
// before and after, over all bytes that may change, including the checksums inside.
uint64_t RewriteQuote(uint8_t* frame, const ParsedPacket& packet, const IcmpError& error,
                      NatEnd end, const NatEndpoint& endpoint) {
  uint8_t* l3 = frame + error.inner_l3_offset;
  uint8_t* l4 = frame + error.inner_l4_offset;
  const uint32_t headers = uint32_t{error.inner_l4_offset} - error.inner_l3_offset;
  const uint32_t quoted_l4 = std::min<uint32_t>(error.inner_l4_length, sizeof(TcpHeader));
  const uint32_t touched = (headers + quoted_l4) & ~1U;
  const uint16_t before = ChecksumFold(ChecksumPartial(l3, touched, 0));  // complemented
  const uint64_t difference =
      Replace(AddressField(l3, packet, end), endpoint.address.data(), AddressBytes(packet));
  if (packet.kind == FrameKind::kIpv4) {
    UpdateChecksum(l3 + offsetof(Ipv4Header, checksum), difference);
  }
  RewriteQuotedL4(l4, error, end, endpoint, difference);
  return ChecksumPartial(l3, touched, before);
}

// Decrements TTL or hop limit. Updates the IPv4 header checksum for that and for `difference`.
void RewriteOuter(uint8_t* l3, const ParsedPacket& packet, uint64_t difference) {
  if (packet.kind == FrameKind::kIpv6) {
    auto* ip = reinterpret_cast<Ipv6Header*>(l3);
    DCHECK(ip->hop_limit > 1);
    --ip->hop_limit;
    return;
  }
  auto* ip = reinterpret_cast<Ipv4Header*>(l3);
  DCHECK(ip->ttl > 1);
  const auto from = Load<uint16_t>(&ip->ttl);
  --ip->ttl;
  UpdateChecksum(ip->checksum.bytes,
                 difference + static_cast<uint16_t>(~from) + Load<uint16_t>(&ip->ttl));
}

void Finish(uint8_t* frame, const ParsedPacket& packet, uint64_t outer, uint64_t quoted,
            const uint8_t* destination_mac, const uint8_t* source_mac) {
  RewriteOuter(frame + packet.l3_offset, packet, outer);
  // Only ICMPv6 has a pseudo header (RFC 4443, 2.3).
  const uint64_t difference = packet.kind == FrameKind::kIpv6 ? outer + quoted : quoted;
  UpdateChecksum(frame + packet.l4_offset + offsetof(IcmpHeader, checksum), difference);
  auto* ethernet = reinterpret_cast<EthernetHeader*>(frame);
  std::memcpy(ethernet->destination, destination_mac, sizeof(ethernet->destination));
  std::memcpy(ethernet->source, source_mac, sizeof(ethernet->source));
}

}  // namespace

void TranslateIcmpErrorToBackend(uint8_t* frame, const ParsedPacket& packet, const IcmpError& error,
                                 const NatEndpoint& backend, const uint8_t* destination_mac,
                                 const uint8_t* source_mac) {
  const uint64_t quoted = RewriteQuote(frame, packet, error, NatEnd::kSource, backend);
  const uint64_t outer =
      Replace(AddressField(frame + packet.l3_offset, packet, NatEnd::kDestination),
              backend.address.data(), AddressBytes(packet));
  Finish(frame, packet, outer, quoted, destination_mac, source_mac);
}

void TranslateIcmpErrorToClient(uint8_t* frame, const ParsedPacket& packet, const IcmpError& error,
                                const NatEndpoint& frontend, const uint8_t* destination_mac,
                                const uint8_t* source_mac) {
  uint8_t* source = AddressField(frame + packet.l3_offset, packet, NatEnd::kSource);
  const uint8_t* target = AddressField(frame + error.inner_l3_offset, packet, NatEnd::kDestination);
  const bool from_backend = std::memcmp(source, target, AddressBytes(packet)) == 0;
  const uint64_t quoted = RewriteQuote(frame, packet, error, NatEnd::kDestination, frontend);
  const uint64_t outer =
      from_backend ? Replace(source, frontend.address.data(), AddressBytes(packet)) : 0;
  Finish(frame, packet, outer, quoted, destination_mac, source_mac);
}

}  // namespace fairlead
