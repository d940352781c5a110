#include "lib/encap/tunnel.h"

#include <bit>
#include <cstddef>
#include <cstring>
#include <string>

#include "lib/base/check.h"
#include "lib/encap/tunnel_inline.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint8_t kOuterTtl = 64;

using tunnel_internal::Inner;
using tunnel_internal::kGueBaseBytes;
using tunnel_internal::Load;
using tunnel_internal::ReadInner;
using tunnel_internal::Store;
using tunnel_internal::WriteOuter;

Status CheckSettings(const TunnelSettings& settings) {
  const IpAddress& source = settings.source;
  const IpAddress& destination = settings.destination;
  if (destination.IsUnusable()) {
    return InvalidArgument("tunnel destination " + destination.ToString() +
                           ": not an address that a backend can have");
  }
  if (source.IsUnusable()) {
    return InvalidArgument("tunnel source " + source.ToString() +
                           ": not an address that a port can have");
  }
  if (source.family() != destination.family()) {
    return InvalidArgument(
        "tunnel source " + source.ToString() + " to " + destination.ToString() +
        ": the families differ; give the port an address of the backend's family");
  }
  if (settings.kind == TunnelKind::kGue && settings.gue_port == 0) {
    return InvalidArgument("gue_port 0: give a UDP port, by default 6080");
  }
  return {};
}

uint8_t AddressBits(const IpAddress& address) { return address.is_v4() ? 32 : 128; }

// Host bits within the address's last 4 or 8 bytes, as loaded from memory.
uint64_t HostMask(const IpAddress& address, uint32_t prefix_bits) {
  const uint32_t host_bits = AddressBits(address) - prefix_bits;
  if (address.is_v4()) return __builtin_bswap32((uint32_t{1} << host_bits) - 1);
  return host_bits >= 64 ? ~uint64_t{0} : __builtin_bswap64((uint64_t{1} << host_bits) - 1);
}

Status CheckPrefix(const TunnelSettings& settings) {
  const IpAddress& source = settings.source;
  const uint32_t bits = settings.source_prefix_bits;
  const std::string name = "source_prefix " + source.ToString() + "/" + std::to_string(bits) + ": ";
  if (settings.kind != TunnelKind::kIpip) {
    return InvalidArgument(name + "only ipip spreads by source address; gue does by source port");
  }
  const uint32_t shortest = source.is_v4() ? 8 : 16;
  if (bits < shortest || bits >= AddressBits(source)) {
    return InvalidArgument(name + "the length must be " + std::to_string(shortest) + " to " +
                           std::to_string(AddressBits(source) - 1));
  }
  for (uint32_t bit = bits; bit < AddressBits(source); ++bit) {
    if ((source.bytes()[bit / 8] >> (7 - bit % 8) & 1) != 0) {
      return InvalidArgument(name + "bits after the prefix are set");
    }
  }
  return {};
}

void FillIpv4Header(const TunnelSettings& settings, TunnelTemplate* tunnel) {
  auto* ip = reinterpret_cast<Ipv4Header*>(tunnel->header);
  ip->version_ihl = 0x45;
  ip->flags_fragment = Be16::FromHost(kIpv4DontFragment);
  ip->ttl = kOuterTtl;
  std::memcpy(ip->source.bytes, settings.source.wire().data(), sizeof(ip->source));
  std::memcpy(ip->destination.bytes, settings.destination.wire().data(), sizeof(ip->destination));
  tunnel->fixed_sum = static_cast<uint16_t>(~Checksum(ip, sizeof(*ip)));
}

void FillIpv6Header(const TunnelSettings& settings, TunnelTemplate* tunnel) {
  auto* ip = reinterpret_cast<Ipv6Header*>(tunnel->header);
  ip->hop_limit = kOuterTtl;
  std::memcpy(ip->source, settings.source.wire().data(), sizeof(ip->source));
  std::memcpy(ip->destination, settings.destination.wire().data(), sizeof(ip->destination));
}

}  // namespace

Result<TunnelTemplate> MakeTunnelTemplate(const TunnelSettings& settings) {
  RETURN_IF_ERROR(CheckSettings(settings));
  TunnelTemplate tunnel;
  const Family outer = settings.destination.family();
  tunnel.kind = settings.kind;
  tunnel.overhead_bytes = static_cast<uint8_t>(TunnelOverhead(settings.kind, outer));
  if (settings.source_prefix_bits != 0) {
    RETURN_IF_ERROR(CheckPrefix(settings));
    tunnel.source_mask = HostMask(settings.source, settings.source_prefix_bits);
  }
  if (outer == Family::kIpv4) {
    FillIpv4Header(settings, &tunnel);
  } else {
    FillIpv6Header(settings, &tunnel);
  }
  if (settings.kind == TunnelKind::kGue) {
    auto* udp =
        reinterpret_cast<UdpHeader*>(tunnel.header + TunnelOverhead(TunnelKind::kIpip, outer));
    udp->destination_port = Be16::FromHost(settings.gue_port);
  }
  return tunnel;
}

uint32_t Encapsulate(const TunnelTemplate& tunnel, uint8_t* frame, uint32_t headroom_bytes,
                     const ParsedPacket& packet, uint64_t entropy, const uint8_t* destination_mac,
                     const uint8_t* source_mac, std::span<const uint8_t> gue_data) {
  DCHECK(packet.kind == FrameKind::kIpv4 || packet.kind == FrameKind::kIpv6);
  DCHECK(packet.l3_offset >= 14 && packet.l3_offset <= 22);
  DCHECK(gue_data.size() % 4 == 0 && gue_data.size() <= kMaxGueDataBytes);
  DCHECK(gue_data.empty() || tunnel.kind == TunnelKind::kGue);
  const auto data_bytes = static_cast<uint32_t>(gue_data.size());
  const uint32_t prepended = tunnel.overhead_bytes + data_bytes;
  if (headroom_bytes < prepended) return 0;
  uint8_t* l3 = frame + packet.l3_offset;
  Inner inner = ReadInner(l3, packet);
  inner.length += data_bytes;
  DCHECK(tunnel.overhead_bytes + inner.length <= 65535);
  // The outer headers overwrite the old Ethernet header, so its tags are loaded first: at most two,
  // after the addresses. The load stays inside the frame, since the IP header has 20 bytes.
  const auto tags = Load<uint64_t>(frame + 12);
  if (data_bytes != 0) std::memcpy(l3 - data_bytes, gue_data.data(), data_bytes);
  uint8_t* outer = l3 - prepended;
  uint16_t ether_type = kEtherTypeIpv4;
  switch (tunnel.overhead_bytes) {
    case TunnelOverhead(TunnelKind::kIpip, Family::kIpv4):
      WriteOuter<TunnelKind::kIpip, Family::kIpv4>(tunnel, inner, data_bytes, entropy, outer);
      break;
    case TunnelOverhead(TunnelKind::kGue, Family::kIpv4):
      WriteOuter<TunnelKind::kGue, Family::kIpv4>(tunnel, inner, data_bytes, entropy, outer);
      break;
    case TunnelOverhead(TunnelKind::kIpip, Family::kIpv6):
      WriteOuter<TunnelKind::kIpip, Family::kIpv6>(tunnel, inner, data_bytes, entropy, outer);
      ether_type = kEtherTypeIpv6;
      break;
    default:
      WriteOuter<TunnelKind::kGue, Family::kIpv6>(tunnel, inner, data_bytes, entropy, outer);
      ether_type = kEtherTypeIpv6;
      break;
  }
  uint8_t* moved = frame - prepended;
  std::memcpy(moved, destination_mac, 6);
  std::memcpy(moved + 6, source_mac, 6);
  if (packet.l3_offset != sizeof(EthernetHeader)) {
    if (packet.l3_offset == sizeof(EthernetHeader) + sizeof(VlanTag)) {
      Store(moved + 12, static_cast<uint32_t>(tags));
    } else {
      Store(moved + 12, tags);
    }
  }
  Store(outer - 2, __builtin_bswap16(ether_type));
  return prepended;
}

void SetGueChecksum(uint8_t* outer, uint64_t inner_sum) {
  const bool v4 = outer[0] >> 4 == 4;
  uint8_t* udp = outer + TunnelOverhead(TunnelKind::kIpip, v4 ? Family::kIpv4 : Family::kIpv6);
  // In both families the destination follows the source, and the pseudo header's length and
  // protocol have the same sum (RFC 768, RFC 8200 8.1).
  const uint64_t addresses =
      v4 ? ChecksumPartial(outer + offsetof(Ipv4Header, source), 8, inner_sum)
         : ChecksumPartial(outer + offsetof(Ipv6Header, source), 32, inner_sum);
  Store(udp + offsetof(UdpHeader, checksum), uint16_t{0});
  const uint32_t headers = static_cast<uint32_t>(sizeof(UdpHeader)) + kGueBaseBytes +
                           uint32_t{udp[sizeof(UdpHeader)] & 0x1fU} * 4;
  const uint64_t sum = ChecksumPartial(udp, headers, addresses) +
                       Load<uint16_t>(udp + offsetof(UdpHeader, length)) +
                       (uint32_t{kIpProtoUdp} << 8);
  const uint16_t checksum = ChecksumFold(sum);
  Store(udp + offsetof(UdpHeader, checksum),
        checksum == 0 ? uint16_t{0xffff} : checksum);  // RFC 768: zero means none
}

}  // namespace fairlead
