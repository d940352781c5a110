#include "lib/net/icmp_generate.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "lib/base/check.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint8_t kInternetworkControl = 0xc0;
constexpr uint8_t kTtl = 64;

void StoreChecksum(uint16_t value, Be16* field) {
  std::memcpy(field->bytes, &value, sizeof(value));
}

// Unknown types may be errors, so they count as errors.
bool IsIcmpQuery(uint8_t type) {
  switch (type) {
    case kIcmpEchoReply:
    case kIcmpEchoRequest:
    case 9:  // router advertisement and solicitation (RFC 1256)
    case 10:
    case 13:  // timestamp and its reply
    case 14:
      return true;
    default:
      return false;
  }
}

bool IsIcmpv6Error(uint8_t type) {
  constexpr uint8_t kRedirect = 137;  // RFC 4443, 2.4 (e.2)
  return type < 128 || type == kRedirect;
}

// True for the address of one host (RFC 1122, 3.2.1.3).
bool IsOneHost(const uint8_t* address) { return address[0] < 224; }

bool AddressesAreSingle(const uint8_t* l3, FrameKind kind) {
  if (kind == FrameKind::kIpv4) {
    const auto& ip = *reinterpret_cast<const Ipv4Header*>(l3);
    return IsOneHost(ip.destination.bytes) && !IpAddress::FromV4(ip.source.bytes).IsUnusable();
  }
  const auto& ip = *reinterpret_cast<const Ipv6Header*>(l3);
  return ip.destination[0] != 0xff && !IpAddress::FromV6(ip.source).IsUnusable();
}

void WriteIcmp(IcmpErrorKind kind, bool v4, uint32_t mtu, IcmpHeader* icmp) {
  std::memset(icmp, 0, sizeof(*icmp));
  if (kind == IcmpErrorKind::kTimeExceeded) {
    icmp->type = v4 ? 11 : 3;
    return;
  }
  if (kind == IcmpErrorKind::kPortUnreachable) {
    icmp->type = v4 ? 3 : 1;
    icmp->code = v4 ? 3 : 4;
    return;
  }
  icmp->type = v4 ? 3 : 2;
  icmp->code = v4 ? 4 : 0;
  // RFC 1191: 16 bits of MTU, in the lower half.
  icmp->rest = Be32::FromHost(v4 ? std::min<uint32_t>(mtu, 65535) : mtu);
}

void WriteIpv4(const Ipv4Header& cause, const IpAddress& source, uint32_t total, uint8_t* l3) {
  Ipv4Header ip{};
  ip.version_ihl = 0x45;
  ip.tos = kInternetworkControl;
  ip.total_length = Be16::FromHost(static_cast<uint16_t>(total));
  ip.ttl = kTtl;
  ip.protocol = kIpProtoIcmp;
  std::memcpy(ip.source.bytes, source.wire().data(), sizeof(ip.source));
  ip.destination = cause.source;
  StoreChecksum(Checksum(&ip, sizeof(ip)), &ip.checksum);
  std::memcpy(l3, &ip, sizeof(ip));
  auto* icmp = reinterpret_cast<IcmpHeader*>(l3 + sizeof(ip));
  StoreChecksum(Checksum(icmp, total - sizeof(ip)), &icmp->checksum);
}

void WriteIpv6(const Ipv6Header& cause, const IpAddress& source, uint32_t total, uint8_t* l3) {
  const uint32_t size = total - uint32_t{sizeof(Ipv6Header)};
  Ipv6Header ip{};
  ip.version_class_flow = Be32::FromHost(uint32_t{6} << 28);
  ip.payload_length = Be16::FromHost(static_cast<uint16_t>(size));
  ip.next_header = kIpProtoIcmpv6;
  ip.hop_limit = kTtl;
  std::memcpy(ip.source, source.wire().data(), sizeof(ip.source));
  std::memcpy(ip.destination, cause.source, sizeof(ip.destination));
  std::memcpy(l3, &ip, sizeof(ip));
  auto* icmp = reinterpret_cast<IcmpHeader*>(l3 + sizeof(ip));
  const uint64_t pseudo =
      PseudoHeaderSum(source, IpAddress::FromV6(cause.source), kIpProtoIcmpv6, size);
  StoreChecksum(ChecksumFold(ChecksumPartial(icmp, size, pseudo)), &icmp->checksum);
}

void WriteEthernet(const uint8_t* frame, uint32_t l3_offset, const MacAddress& mac, uint8_t* out) {
  std::memcpy(out, frame, l3_offset);  // tags and ethertype
  auto* ethernet = reinterpret_cast<EthernetHeader*>(out);
  std::memcpy(ethernet->destination, frame + sizeof(ethernet->destination),
              sizeof(ethernet->destination));
  std::memcpy(ethernet->source, mac.bytes.data(), sizeof(ethernet->source));
}

}  // namespace

bool MaySendIcmpError(const uint8_t* frame, uint32_t length, const ParsedPacket& packet) {
  DCHECK(packet.kind == FrameKind::kIpv4 || packet.kind == FrameKind::kIpv6);
  DCHECK(packet.defect == DropReason::kNone);
  if (packet.group_mac || packet.later_fragment) return false;
  if (!AddressesAreSingle(frame + packet.l3_offset, packet.kind)) return false;
  const bool v4 = packet.kind == FrameKind::kIpv4;
  if (packet.l4_protocol != (v4 ? kIpProtoIcmp : kIpProtoIcmpv6)) return true;
  if (packet.l4_offset >= length) return false;
  const uint8_t type = frame[packet.l4_offset];
  return v4 ? IsIcmpQuery(type) : !IsIcmpv6Error(type);
}

uint32_t MakeIcmpError(IcmpErrorKind kind, const uint8_t* frame, uint32_t length,
                       const ParsedPacket& packet, const IpAddress& source, const MacAddress& mac,
                       uint32_t mtu, uint8_t* out, uint32_t capacity) {
  if (!MaySendIcmpError(frame, length, packet)) return 0;
  const bool v4 = packet.kind == FrameKind::kIpv4;
  DCHECK(source.is_v4() == v4);
  const uint32_t l3 = packet.l3_offset;
  const uint32_t headers = (v4 ? uint32_t{sizeof(Ipv4Header)} : uint32_t{sizeof(Ipv6Header)}) +
                           uint32_t{sizeof(IcmpHeader)};
  const uint32_t max_quote = (v4 ? kMaxIcmpErrorIpv4 : kMaxIcmpErrorIpv6) - headers;
  const uint32_t quote = std::min({uint32_t{packet.l3_length}, max_quote, length - l3});
  const uint32_t total = headers + quote;
  if (l3 + total > capacity) return 0;
  WriteEthernet(frame, l3, mac, out);
  std::memcpy(out + l3 + headers, frame + l3, quote);
  WriteIcmp(kind, v4, mtu, reinterpret_cast<IcmpHeader*>(out + l3 + headers - sizeof(IcmpHeader)));
  if (v4) {
    WriteIpv4(*reinterpret_cast<const Ipv4Header*>(frame + l3), source, total, out + l3);
  } else {
    WriteIpv6(*reinterpret_cast<const Ipv6Header*>(frame + l3), source, total, out + l3);
  }
  return l3 + total;
}

Status CheckPathMtu(uint32_t egress_mtu, uint32_t overhead_bytes, Family client) {
  const bool v4 = client == Family::kIpv4;
  const uint32_t least = v4 ? kMinMtuIpv4 : kMinMtuIpv6;
  if (PathMtu(egress_mtu, overhead_bytes) >= least) return {};
  return InvalidArgument(
      "mtu " + std::to_string(egress_mtu) + ": less " + std::to_string(overhead_bytes) +
      " bytes of tunnel headers it leaves " + std::to_string(PathMtu(egress_mtu, overhead_bytes)) +
      ", but " + (v4 ? "IPv4" : "IPv6") + " clients need " + std::to_string(least) +
      "; raise the port's mtu to at least " + std::to_string(least + overhead_bytes));
}

}  // namespace fairlead
