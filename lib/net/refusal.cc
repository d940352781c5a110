#include "lib/net/refusal.h"

#include <cstring>

#include "lib/base/check.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "lib/net/icmp_generate.h"

namespace fairlead {
namespace {

constexpr uint8_t kTtl = 64;

struct ReplyAddresses {
  IpAddress source;
  IpAddress destination;
};

ReplyAddresses AddressesOf(const uint8_t* frame, const ParsedPacket& packet) {
  const uint8_t* l3 = frame + packet.l3_offset;
  if (packet.kind == FrameKind::kIpv4) {
    const auto& ip = *reinterpret_cast<const Ipv4Header*>(l3);
    return {IpAddress::FromV4(ip.source.bytes), IpAddress::FromV4(ip.destination.bytes)};
  }
  const auto& ip = *reinterpret_cast<const Ipv6Header*>(l3);
  return {IpAddress::FromV6(ip.source), IpAddress::FromV6(ip.destination)};
}

uint32_t TransportLength(const ParsedPacket& packet) {
  return uint32_t{packet.l3_offset} + packet.l3_length - packet.l4_offset;
}

bool HasRightChecksum(const uint8_t* frame, const ParsedPacket& packet) {
  const uint8_t* l4 = frame + packet.l4_offset;
  uint32_t size = TransportLength(packet);
  if (packet.l4_protocol == kIpProtoUdp) {
    const auto& udp = *reinterpret_cast<const UdpHeader*>(l4);
    // 0: no checksum (RFC 768). Over IPv6 the parser has dropped such a packet.
    if (udp.checksum.raw() == 0) return true;
    size = udp.length.host();
  }
  const ReplyAddresses addresses = AddressesOf(frame, packet);
  const uint64_t pseudo =
      PseudoHeaderSum(addresses.source, addresses.destination, packet.l4_protocol, size);
  return ChecksumFold(ChecksumPartial(l4, size, pseudo)) == 0;
}

void StoreChecksum(uint16_t value, Be16* field) {
  std::memcpy(field->bytes, &value, sizeof(value));
}

// Writes the IP header of the reset to `out`. `received`: the addresses of the packet that it
// answers. Returns the header's length.
uint32_t WriteIp(const ReplyAddresses& received, uint8_t* out) {
  if (received.source.is_v4()) {
    Ipv4Header ip{};
    ip.version_ihl = 0x45;
    ip.total_length = Be16::FromHost(sizeof(ip) + sizeof(TcpHeader));
    ip.flags_fragment = Be16::FromHost(kIpv4DontFragment);
    ip.ttl = kTtl;
    ip.protocol = kIpProtoTcp;
    std::memcpy(ip.source.bytes, received.destination.wire().data(), sizeof(ip.source));
    std::memcpy(ip.destination.bytes, received.source.wire().data(), sizeof(ip.destination));
    StoreChecksum(Checksum(&ip, sizeof(ip)), &ip.checksum);
    std::memcpy(out, &ip, sizeof(ip));
    return sizeof(ip);
  }
  Ipv6Header ip{};
  ip.version_class_flow = Be32::FromHost(uint32_t{6} << 28);
  ip.payload_length = Be16::FromHost(sizeof(TcpHeader));
  ip.next_header = kIpProtoTcp;
  ip.hop_limit = kTtl;
  std::memcpy(ip.source, received.destination.wire().data(), sizeof(ip.source));
  std::memcpy(ip.destination, received.source.wire().data(), sizeof(ip.destination));
  std::memcpy(out, &ip, sizeof(ip));
  return sizeof(ip);
}

// RFC 9293, 3.10.7.1. `size`: the segment's length with its header.
TcpHeader ResetFor(const TcpHeader& segment, uint32_t size) {
  TcpHeader reset{};
  reset.source_port = segment.destination_port;
  reset.destination_port = segment.source_port;
  reset.data_offset = sizeof(TcpHeader) / 4 << 4;
  if ((segment.flags & kTcpAck) != 0) {
    reset.sequence = segment.acknowledgment;
    reset.flags = kTcpRst;
    return reset;
  }
  uint32_t occupied = size - uint32_t{segment.data_offset} / 16 * 4;
  if ((segment.flags & kTcpSyn) != 0) ++occupied;
  if ((segment.flags & kTcpFin) != 0) ++occupied;
  reset.acknowledgment = Be32::FromHost(segment.sequence.host() + occupied);
  reset.flags = kTcpRst | kTcpAck;
  return reset;
}

}  // namespace

bool MayRefuse(const uint8_t* frame, uint32_t length, const ParsedPacket& packet) {
  if (!MaySendIcmpError(frame, length, packet) || packet.is_fragment) return false;
  const bool is_tcp = packet.l4_protocol == kIpProtoTcp;
  if (!is_tcp && packet.l4_protocol != kIpProtoUdp) return false;
  if (is_tcp && (packet.tcp_flags & kTcpRst) != 0) return false;
  if (uint32_t{packet.l3_offset} + packet.l3_length > length) return false;
  return HasRightChecksum(frame, packet);
}

uint32_t MakeTcpReset(const uint8_t* frame, const ParsedPacket& packet, const MacAddress& mac,
                      uint8_t* out) {
  DCHECK(packet.l4_protocol == kIpProtoTcp);
  std::memcpy(out, frame, packet.l3_offset);  // tags and ethertype
  auto* ethernet = reinterpret_cast<EthernetHeader*>(out);
  std::memcpy(ethernet->destination, frame + sizeof(ethernet->destination),
              sizeof(ethernet->destination));
  std::memcpy(ethernet->source, mac.bytes.data(), sizeof(ethernet->source));

  const ReplyAddresses received = AddressesOf(frame, packet);
  uint8_t* l3 = out + packet.l3_offset;
  const uint32_t header = WriteIp(received, l3);
  const auto& segment = *reinterpret_cast<const TcpHeader*>(frame + packet.l4_offset);
  TcpHeader reset = ResetFor(segment, TransportLength(packet));
  const uint64_t pseudo =
      PseudoHeaderSum(received.destination, received.source, kIpProtoTcp, sizeof(reset));
  StoreChecksum(ChecksumFold(ChecksumPartial(&reset, sizeof(reset), pseudo)), &reset.checksum);
  std::memcpy(l3 + header, &reset, sizeof(reset));
  return packet.l3_offset + header + uint32_t{sizeof(reset)};
}

}  // namespace fairlead
