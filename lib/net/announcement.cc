#include "lib/net/announcement.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "lib/base/check.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr std::array<uint8_t, 6> kBroadcastMac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr std::array<uint8_t, 16> kAllNodes = {0xff, 0x02, 0, 0, 0, 0, 0, 0,
                                               0,    0,    0, 0, 0, 0, 0, 1};
// "All MLDv2-capable routers", RFC 3810, 5.2.14.
constexpr std::array<uint8_t, 16> kAllMldRouters = {0xff, 0x02, 0, 0, 0, 0, 0, 0,
                                                    0,    0,    0, 0, 0, 0, 0, 0x16};
constexpr uint32_t kFlagOverride = 0x20000000;
constexpr uint8_t kOptionTargetLinkLayer = 2;
constexpr uint8_t kMembershipReport2 = 143;
constexpr uint8_t kChangeToExclude = 4;
// Hop-by-hop options (RFC 8200, 4.3): router alert for MLD (RFC 2711), and two bytes of padding.
constexpr std::array<uint8_t, 8> kRouterAlert = {kIpProtoIcmpv6, 0, 5, 2, 0, 0, 1, 0};

struct AdvertisementBody {
  IcmpHeader icmp;
  uint8_t target[16];
  uint8_t option_type;
  uint8_t option_units;
  uint8_t option_mac[6];
};
static_assert(sizeof(AdvertisementBody) == 32);

struct ReportBody {
  IcmpHeader icmp;  // rest: reserved, number of records
  uint8_t record_type;
  uint8_t aux_units;
  Be16 source_count;
  uint8_t group[16];
};
static_assert(sizeof(ReportBody) == 28);

// Where a frame comes from.
struct Origin {
  MacAddress mac;
  uint16_t vlan;
};

// Writes the Ethernet header, with a tag if the origin is in a VLAN. Returns its end.
uint8_t* PutEthernet(std::span<const uint8_t, 6> destination, const Origin& origin, uint16_t type,
                     uint8_t* out) {
  const bool tagged = origin.vlan != kUntagged;
  EthernetHeader ethernet{};
  std::ranges::copy(destination, ethernet.destination);
  std::ranges::copy(origin.mac.bytes, ethernet.source);
  ethernet.ether_type = Be16::FromHost(tagged ? kEtherTypeVlan : type);
  std::memcpy(out, &ethernet, sizeof(ethernet));
  out += sizeof(ethernet);
  if (!tagged) return out;
  const VlanTag tag = {Be16::FromHost(origin.vlan), Be16::FromHost(type)};
  std::memcpy(out, &tag, sizeof(tag));
  return out + sizeof(tag);
}

// The MAC of an IPv6 group (RFC 2464, 7).
std::array<uint8_t, 6> GroupMac(std::span<const uint8_t, 16> group) {
  return {0x33, 0x33, group[12], group[13], group[14], group[15]};
}

// Writes an IPv6 packet to a group: Ethernet, header, `options` (may be empty), and `body` with its
// checksum. Returns the frame's length.
template <typename Body>
uint32_t PutIpv6(std::span<const uint8_t, 16> source, std::span<const uint8_t, 16> group,
                 uint8_t hop_limit, std::span<const uint8_t> options, Body body,
                 const Origin& origin, uint8_t* out) {
  Ipv6Header ip{};
  ip.version_class_flow = Be32::FromHost(uint32_t{6} << 28);
  ip.payload_length = Be16::FromHost(static_cast<uint16_t>(options.size() + sizeof(body)));
  ip.next_header = options.empty() ? uint8_t{kIpProtoIcmpv6} : uint8_t{0};
  ip.hop_limit = hop_limit;
  std::ranges::copy(source, ip.source);
  std::ranges::copy(group, ip.destination);
  const uint64_t pseudo = PseudoHeaderSum(IpAddress::FromV6(source), IpAddress::FromV6(group),
                                          kIpProtoIcmpv6, sizeof(body));
  const uint16_t sum = ChecksumFold(ChecksumPartial(&body, sizeof(body), pseudo));
  std::memcpy(body.icmp.checksum.bytes, &sum, sizeof(sum));
  uint8_t* at = PutEthernet(GroupMac(group), origin, kEtherTypeIpv6, out);
  std::memcpy(at, &ip, sizeof(ip));
  at = std::ranges::copy(options, at + sizeof(ip)).out;
  std::memcpy(at, &body, sizeof(body));
  return static_cast<uint32_t>(at + sizeof(body) - out);
}

// fe80::/64 with the MAC's modified EUI-64 (RFC 4291, appendix A).
std::array<uint8_t, 16> LinkLocalOf(const MacAddress& mac) {
  const auto& m = mac.bytes;
  return {0xfe, 0x80, 0,    0,    0,    0,    0,   0, static_cast<uint8_t>(m[0] ^ 2),
          m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]};
}

uint32_t MakeGratuitousArp(const IpAddress& address, const Origin& origin, uint8_t* out) {
  ArpPacket arp{};
  arp.hardware_type = Be16::FromHost(1);
  arp.protocol_type = Be16::FromHost(kEtherTypeIpv4);
  arp.hardware_length = 6;
  arp.protocol_length = 4;
  arp.operation = Be16::FromHost(kArpRequest);
  std::ranges::copy(origin.mac.bytes, arp.sender_mac);
  std::memcpy(&arp.sender_ip, address.wire().data(), 4);
  std::memcpy(&arp.target_ip, address.wire().data(), 4);
  uint8_t* at = PutEthernet(kBroadcastMac, origin, kEtherTypeArp, out);
  std::memcpy(at, &arp, sizeof(arp));
  return static_cast<uint32_t>(at + sizeof(arp) - out);
}

}  // namespace

IpAddress SolicitedNodeGroup(const IpAddress& address) {
  DCHECK(!address.is_v4());
  std::array<uint8_t, 16> group = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  std::copy(address.bytes().end() - 3, address.bytes().end(), group.end() - 3);
  return IpAddress::FromV6(group);
}

uint32_t MakeAnnouncement(const IpAddress& address, const MacAddress& mac, uint16_t vlan,
                          uint8_t* out) {
  if (address.is_v4()) return MakeGratuitousArp(address, {mac, vlan}, out);
  AdvertisementBody body{};
  body.icmp.type = kIcmpv6NeighbourAdvertisement;
  body.icmp.rest = Be32::FromHost(kFlagOverride);
  std::ranges::copy(address.bytes(), body.target);
  body.option_type = kOptionTargetLinkLayer;
  body.option_units = 1;
  std::ranges::copy(mac.bytes, body.option_mac);
  return PutIpv6(address.bytes(), kAllNodes, 255, {}, body, {mac, vlan}, out);
}

uint32_t MakeMembershipReport(const IpAddress& address, const MacAddress& mac, uint16_t vlan,
                              uint8_t* out) {
  ReportBody body{};
  body.icmp.type = kMembershipReport2;
  body.icmp.rest = Be32::FromHost(1);
  body.record_type = kChangeToExclude;
  std::ranges::copy(SolicitedNodeGroup(address).bytes(), body.group);
  return PutIpv6(LinkLocalOf(mac), kAllMldRouters, 1, kRouterAlert, body, {mac, vlan}, out);
}

}  // namespace fairlead
