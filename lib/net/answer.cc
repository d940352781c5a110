#include "lib/net/answer.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "lib/base/check.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint8_t kReplyTtl = 64;
constexpr uint8_t kNeighbourHopLimit = 255;
constexpr uint8_t kOptionSourceLinkLayer = 1;
constexpr uint8_t kOptionTargetLinkLayer = 2;
constexpr uint32_t kFlagSolicited = 0x40000000;
constexpr uint32_t kFlagOverride = 0x20000000;
constexpr uint8_t kAllNodes[16] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr uint8_t kAllNodesMac[6] = {0x33, 0x33, 0, 0, 0, 1};  // RFC 2464, 7
constexpr uint8_t kSolicitedNodePrefix[13] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

struct LinkLayerOption {  // RFC 4861, 4.6.1
  uint8_t type;
  uint8_t length_units;  // of 8 bytes
  uint8_t mac[6];
};
static_assert(sizeof(LinkLayerOption) == 8);

IpAddress ToAddress(const Be32& wire) { return IpAddress::FromV4(wire.bytes); }
IpAddress ToAddress(const uint8_t (&wire)[16]) { return IpAddress::FromV6(wire); }

bool IsGroup(const uint8_t* mac) { return (mac[0] & 1) != 0; }

void StoreChecksum(uint16_t value, Be16* field) {
  std::memcpy(field->bytes, &value, sizeof(value));
}

// Sets Ethernet source and destination of a reply. Tags and ethertype stay unchanged.
void ReverseEthernet(uint8_t* frame, const MacAddress& mac) {
  auto* ethernet = reinterpret_cast<EthernetHeader*>(frame);
  std::memcpy(ethernet->destination, ethernet->source, sizeof(ethernet->destination));
  std::memcpy(ethernet->source, mac.bytes.data(), sizeof(ethernet->source));
}

// Checksum over the pseudo header of an IPv6 packet and `size` bytes of ICMPv6: 0 if it is correct.
uint16_t Icmpv6Sum(const Ipv6Header& ip, const uint8_t* icmp, uint32_t size) {
  const uint64_t pseudo =
      PseudoHeaderSum(ToAddress(ip.source), ToAddress(ip.destination), kIpProtoIcmpv6, size);
  return ChecksumFold(ChecksumPartial(icmp, size, pseudo));
}

// True if the whole IP packet is contiguous, so that its checksum can be computed.
bool IsContiguous(uint32_t length, const ParsedPacket& packet) {
  return uint32_t{packet.l3_offset} + packet.l3_length <= length;
}

uint32_t L4Size(const ParsedPacket& packet) {
  return uint32_t{packet.l3_offset} + packet.l3_length - packet.l4_offset;
}

struct NeighbourOptions {
  bool well_formed = true;
  bool has_source_link_layer = false;
};

NeighbourOptions ReadOptions(const uint8_t* options, uint32_t size) {
  NeighbourOptions result;
  while (size > 0) {
    const uint32_t option_size = size < 2 ? 0 : uint32_t{options[1]} * 8;
    if (option_size == 0 || option_size > size) {
      result.well_formed = false;
      return result;
    }
    if (options[0] == kOptionSourceLinkLayer) result.has_source_link_layer = true;
    options += option_size;
    size -= option_size;
  }
  return result;
}

bool IsSolicitedNodeAddress(const uint8_t (&address)[16]) {
  return std::memcmp(address, kSolicitedNodePrefix, sizeof(kSolicitedNodePrefix)) == 0;
}

bool IsValidSolicitation(const Ipv6Header& ip, const NeighbourOptions& options) {
  if (ToAddress(ip.source) != IpAddress::FromV6(std::array<uint8_t, 16>{})) return true;
  return IsSolicitedNodeAddress(ip.destination) && !options.has_source_link_layer;
}

bool IsValidAdvertisement(const Ipv6Header& ip, const NeighbourMessage& message) {
  const bool solicited = (message.icmp.rest.host() & kFlagSolicited) != 0;
  return ip.destination[0] != 0xff || !solicited;
}

}  // namespace

NeighbourView ReadArp(const uint8_t* frame, uint32_t length, const ParsedPacket& packet) {
  DCHECK(packet.kind == FrameKind::kArp);
  NeighbourView view;
  view.kind = NeighbourKind::kMalformed;
  if (packet.defect != DropReason::kNone || length < packet.l3_offset + sizeof(ArpPacket)) {
    return view;
  }
  const auto& arp = *reinterpret_cast<const ArpPacket*>(frame + packet.l3_offset);
  if (arp.hardware_length != 6 || arp.protocol_length != 4) return view;
  const uint16_t operation = arp.operation.host();
  const IpAddress sender = ToAddress(arp.sender_ip);
  view.target = ToAddress(arp.target_ip);
  const bool announces = operation == kArpReply || sender == view.target;  // RFC 5227, 3
  if (announces) view.target = sender;
  view.has_target = true;
  const bool is_probe = operation == kArpRequest && sender == IpAddress();  // RFC 5227, 2.1
  if (arp.hardware_type.host() != 1 || arp.protocol_type.host() != kEtherTypeIpv4 ||
      IsGroup(arp.sender_mac) || (sender.IsUnusable() && !is_probe)) {
    return view;
  }
  if (operation != kArpRequest && operation != kArpReply) {
    view.kind = NeighbourKind::kNone;
  } else if (announces) {
    view.kind = NeighbourKind::kAnnouncement;
  } else {
    view.kind = NeighbourKind::kRequest;
    view.sender = sender;
  }
  return view;
}

NeighbourView ReadNeighbour(const uint8_t* frame, uint32_t length, const ParsedPacket& packet) {
  DCHECK(packet.kind == FrameKind::kIpv6 && packet.l4_protocol == kIpProtoIcmpv6);
  NeighbourView view;
  if (packet.later_fragment || length < packet.l4_offset + sizeof(IcmpHeader)) return view;
  const uint8_t type = frame[packet.l4_offset];
  const bool solicits = type == kIcmpv6NeighbourSolicitation;
  if (!solicits && type != kIcmpv6NeighbourAdvertisement) return view;
  view.kind = NeighbourKind::kMalformed;
  const uint32_t size = L4Size(packet);
  if (size < sizeof(NeighbourMessage) || !IsContiguous(length, packet)) return view;
  const auto& ip = *reinterpret_cast<const Ipv6Header*>(frame + packet.l3_offset);
  const auto& message = *reinterpret_cast<const NeighbourMessage*>(frame + packet.l4_offset);
  view.target = ToAddress(message.target);
  view.has_target = true;
  const NeighbourOptions options =
      ReadOptions(frame + packet.l4_offset + sizeof(NeighbourMessage),
                  size - static_cast<uint32_t>(sizeof(NeighbourMessage)));
  if (packet.is_fragment || ip.hop_limit != kNeighbourHopLimit || message.icmp.code != 0 ||
      message.target[0] == 0xff || !options.well_formed ||
      Icmpv6Sum(ip, frame + packet.l4_offset, size) != 0) {
    return view;
  }
  if (solicits && IsValidSolicitation(ip, options)) {
    view.kind = NeighbourKind::kRequest;
    view.sender = ToAddress(ip.source);
  } else if (!solicits && IsValidAdvertisement(ip, message)) {
    view.kind = NeighbourKind::kAnnouncement;
  }
  return view;
}

uint32_t MakeArpReply(uint8_t* frame, uint32_t length, const ParsedPacket& packet,
                      const MacAddress& mac) {
  const uint32_t reply_length = packet.l3_offset + static_cast<uint32_t>(sizeof(ArpPacket));
  CHECK(reply_length <= length);
  ReverseEthernet(frame, mac);
  auto* arp = reinterpret_cast<ArpPacket*>(frame + packet.l3_offset);
  arp->operation = Be16::FromHost(kArpReply);
  const Be32 asked = arp->target_ip;
  std::memcpy(arp->target_mac, arp->sender_mac, sizeof(arp->target_mac));
  arp->target_ip = arp->sender_ip;
  std::memcpy(arp->sender_mac, mac.bytes.data(), sizeof(arp->sender_mac));
  arp->sender_ip = asked;
  return reply_length;
}

uint32_t MakeNeighbourAdvertisement(uint8_t* frame, uint32_t length, uint32_t capacity,
                                    const ParsedPacket& packet, const MacAddress& mac) {
  constexpr uint32_t kIcmpSize = sizeof(NeighbourMessage) + sizeof(LinkLayerOption);
  const uint32_t icmp_offset = packet.l3_offset + static_cast<uint32_t>(sizeof(Ipv6Header));
  const uint32_t reply_length = icmp_offset + kIcmpSize;
  CHECK(packet.l4_offset + sizeof(NeighbourMessage) <= length && reply_length <= capacity);
  ReverseEthernet(frame, mac);
  auto* ip = reinterpret_cast<Ipv6Header*>(frame + packet.l3_offset);
  uint8_t target[16];
  std::memcpy(target, frame + packet.l4_offset + offsetof(NeighbourMessage, target), 16);
  const bool is_unspecified = ToAddress(ip->source) == IpAddress::FromV6(std::array<uint8_t, 16>{});
  std::memcpy(ip->destination, is_unspecified ? kAllNodes : ip->source, 16);
  if (is_unspecified) std::memcpy(frame, kAllNodesMac, sizeof(kAllNodesMac));
  std::memcpy(ip->source, target, 16);
  ip->version_class_flow = Be32::FromHost(0x60000000);
  ip->payload_length = Be16::FromHost(kIcmpSize);
  ip->next_header = kIpProtoIcmpv6;
  ip->hop_limit = kNeighbourHopLimit;

  uint8_t* icmp = frame + icmp_offset;
  auto* message = reinterpret_cast<NeighbourMessage*>(icmp);
  message->icmp.type = kIcmpv6NeighbourAdvertisement;
  message->icmp.code = 0;
  message->icmp.checksum = Be16{};
  message->icmp.rest = Be32::FromHost(kFlagOverride | (is_unspecified ? 0 : kFlagSolicited));
  std::memcpy(message->target, target, 16);
  LinkLayerOption option{kOptionTargetLinkLayer, 1, {}};
  std::copy(mac.bytes.begin(), mac.bytes.end(), option.mac);
  std::memcpy(icmp + sizeof(NeighbourMessage), &option, sizeof(option));
  StoreChecksum(Icmpv6Sum(*ip, icmp, kIcmpSize), &message->icmp.checksum);
  return reply_length;
}

bool IsEchoRequest(const uint8_t* frame, uint32_t length, const ParsedPacket& packet) {
  const bool v4 = packet.kind == FrameKind::kIpv4;
  if ((!v4 && packet.kind != FrameKind::kIpv6) || packet.defect != DropReason::kNone) return false;
  if (packet.l4_protocol != (v4 ? kIpProtoIcmp : kIpProtoIcmpv6)) return false;
  if (packet.is_fragment || !IsContiguous(length, packet)) return false;
  const uint8_t* l3 = frame + packet.l3_offset;
  const uint8_t* icmp = frame + packet.l4_offset;
  const auto& header = *reinterpret_cast<const IcmpHeader*>(icmp);
  if (header.code != 0) return false;
  if (!v4) {
    return header.type == kIcmpv6EchoRequest &&
           Icmpv6Sum(*reinterpret_cast<const Ipv6Header*>(l3), icmp, L4Size(packet)) == 0;
  }
  return header.type == kIcmpEchoRequest && Checksum(icmp, L4Size(packet)) == 0 &&
         Checksum(l3, uint32_t{packet.l4_offset} - packet.l3_offset) == 0;
}

namespace {

void ReverseIpv4(uint8_t* l3, uint32_t icmp_size) {
  auto* ip = reinterpret_cast<Ipv4Header*>(l3);
  ip->version_ihl = 0x45;
  ip->total_length = Be16::FromHost(static_cast<uint16_t>(sizeof(Ipv4Header) + icmp_size));
  ip->flags_fragment = Be16::FromHost(ip->flags_fragment.host() & kIpv4DontFragment);
  ip->ttl = kReplyTtl;
  std::swap(ip->source, ip->destination);
  ip->checksum = Be16{};
  StoreChecksum(Checksum(ip, sizeof(*ip)), &ip->checksum);
}

void ReverseIpv6(uint8_t* l3, uint32_t icmp_size) {
  auto* ip = reinterpret_cast<Ipv6Header*>(l3);
  // The flow label belongs to the client's direction, so the reply has none.
  ip->version_class_flow = Be32::FromHost(ip->version_class_flow.host() & 0xfff00000);
  ip->payload_length = Be16::FromHost(static_cast<uint16_t>(icmp_size));
  ip->next_header = kIpProtoIcmpv6;
  ip->hop_limit = kReplyTtl;
  std::swap(ip->source, ip->destination);
}

// True if an ICMPv4 message is all zeros except for its checksum.
bool IsAllZero(const IcmpHeader& header, const uint8_t* icmp, uint32_t size) {
  const auto is_zero = [](uint8_t byte) { return byte == 0; };
  return header.type == 0 && header.code == 0 && header.rest.raw() == 0 &&
         std::all_of(icmp + sizeof(header), icmp + size, is_zero);
}

}  // namespace

uint32_t MakeEchoReply(uint8_t* frame, uint32_t length, const ParsedPacket& packet,
                       const MacAddress& mac) {
  CHECK(packet.defect == DropReason::kNone && IsContiguous(length, packet));
  const bool v4 = packet.kind == FrameKind::kIpv4;
  const uint32_t icmp_size = L4Size(packet);
  uint8_t* l3 = frame + packet.l3_offset;
  uint8_t* icmp = l3 + (v4 ? sizeof(Ipv4Header) : sizeof(Ipv6Header));
  std::memmove(icmp, frame + packet.l4_offset, icmp_size);
  ReverseEthernet(frame, mac);
  if (v4) {
    ReverseIpv4(l3, icmp_size);
  } else {
    ReverseIpv6(l3, icmp_size);
  }
  // Only the type changes. The pseudo header's sum stays the same when its addresses are swapped.
  auto* header = reinterpret_cast<IcmpHeader*>(icmp);
  Be16 from;
  Be16 to;
  std::memcpy(&from, icmp, sizeof(from));
  header->type = v4 ? kIcmpEchoReply : kIcmpv6EchoReply;
  std::memcpy(&to, icmp, sizeof(to));
  uint16_t checksum = ChecksumUpdate16(header->checksum.raw(), from.raw(), to.raw());
  // An incremental update cannot distinguish the two zeros of one's complement. If all bytes are
  // zero, the sum is 0 and its complement 0xffff.
  if (checksum == 0 && IsAllZero(*header, icmp, icmp_size)) checksum = 0xffff;
  StoreChecksum(checksum, &header->checksum);
  return static_cast<uint32_t>(icmp - frame) + icmp_size;
}

}  // namespace fairlead
