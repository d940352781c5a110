// Wire headers as they are in a packet. All fields have alignment 1 (endian.h), so a header may be
// overlaid at any offset that has been checked against the packet's length. Lengths are in bytes.
#pragma once

#include <cstdint>

#include "lib/base/endian.h"

namespace fairlead {

inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeArp = 0x0806;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr uint16_t kEtherTypeVlan = 0x8100;  // 802.1Q
inline constexpr uint16_t kEtherTypeQinQ = 0x88a8;  // 802.1ad

// IANA protocol numbers (IPv6 next header values included).
enum IpProtocol : uint8_t {
  kIpProtoHopByHop = 0,
  kIpProtoIcmp = 1,
  kIpProtoIpIp = 4,
  kIpProtoTcp = 6,
  kIpProtoUdp = 17,
  kIpProtoIpv6 = 41,
  kIpProtoRouting = 43,
  kIpProtoFragment = 44,
  kIpProtoAh = 51,
  kIpProtoIcmpv6 = 58,
  kIpProtoNoNext = 59,
  kIpProtoDestinationOptions = 60,
};

struct EthernetHeader {
  uint8_t destination[6];
  uint8_t source[6];
  Be16 ether_type;
};
static_assert(sizeof(EthernetHeader) == 14);

struct VlanTag {
  Be16 tci;
  Be16 ether_type;
};
static_assert(sizeof(VlanTag) == 4);

struct Ipv4Header {  // RFC 791
  uint8_t version_ihl;
  uint8_t tos;
  Be16 total_length;
  Be16 id;
  Be16 flags_fragment;  // 3 flag bits, 13 bits of offset in units of 8 bytes
  uint8_t ttl;
  uint8_t protocol;
  Be16 checksum;
  Be32 source;
  Be32 destination;

  uint32_t header_length() const { return (version_ihl & 0x0fU) * 4U; }
};
static_assert(sizeof(Ipv4Header) == 20);
inline constexpr uint16_t kIpv4DontFragment = 0x4000;
inline constexpr uint16_t kIpv4MoreFragments = 0x2000;
inline constexpr uint16_t kIpv4OffsetMask = 0x1fff;

struct Ipv6Header {  // RFC 8200
  Be32 version_class_flow;
  Be16 payload_length;
  uint8_t next_header;
  uint8_t hop_limit;
  uint8_t source[16];
  uint8_t destination[16];
};
static_assert(sizeof(Ipv6Header) == 40);

struct Ipv6FragmentHeader {  // RFC 8200, 4.5
  uint8_t next_header;
  uint8_t reserved;
  Be16 offset_more;  // 13 bits of offset in units of 8 bytes, 2 reserved, M
  Be32 id;
};
static_assert(sizeof(Ipv6FragmentHeader) == 8);

struct TcpHeader {  // RFC 9293
  Be16 source_port;
  Be16 destination_port;
  Be32 sequence;
  Be32 acknowledgment;
  uint8_t data_offset;  // upper four bits, in units of 4 bytes
  uint8_t flags;
  Be16 window;
  Be16 checksum;
  Be16 urgent;
};
static_assert(sizeof(TcpHeader) == 20);
inline constexpr uint8_t kTcpFin = 0x01;
inline constexpr uint8_t kTcpSyn = 0x02;
inline constexpr uint8_t kTcpRst = 0x04;
inline constexpr uint8_t kTcpAck = 0x10;

struct UdpHeader {  // RFC 768
  Be16 source_port;
  Be16 destination_port;
  Be16 length;
  Be16 checksum;
};
static_assert(sizeof(UdpHeader) == 8);

struct IcmpHeader {  // RFC 792, RFC 4443
  uint8_t type;
  uint8_t code;
  Be16 checksum;
  Be32 rest;
};
static_assert(sizeof(IcmpHeader) == 8);
inline constexpr uint8_t kIcmpEchoReply = 0;
inline constexpr uint8_t kIcmpEchoRequest = 8;
inline constexpr uint8_t kIcmpv6EchoRequest = 128;
inline constexpr uint8_t kIcmpv6EchoReply = 129;
inline constexpr uint8_t kIcmpv6NeighbourSolicitation = 135;
inline constexpr uint8_t kIcmpv6NeighbourAdvertisement = 136;

struct ArpPacket {  // RFC 826, Ethernet and IPv4
  Be16 hardware_type;
  Be16 protocol_type;
  uint8_t hardware_length;
  uint8_t protocol_length;
  Be16 operation;
  uint8_t sender_mac[6];
  Be32 sender_ip;
  uint8_t target_mac[6];
  Be32 target_ip;
};
static_assert(sizeof(ArpPacket) == 28);
inline constexpr uint16_t kArpRequest = 1;
inline constexpr uint16_t kArpReply = 2;

struct NeighbourMessage {  // RFC 4861, 4.3 and 4.4: solicitation and advertisement, without options
  IcmpHeader icmp;         // rest: flags R, S, O in the top bits of an advertisement
  uint8_t target[16];
};
static_assert(sizeof(NeighbourMessage) == 24);

}  // namespace fairlead
