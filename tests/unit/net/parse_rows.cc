#include "tests/unit/net/parse_rows.h"

#include <utility>

namespace fairlead::testing {
namespace {

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;
constexpr uint8_t kIcmp = 1;
constexpr uint8_t kIcmp6 = 58;

// These make rows for the two families, with the expected fields or the expected defect.
ParseRow Good4(std::string name, const Bytes& ip, uint8_t protocol, uint16_t l4_offset = 34) {
  return {std::move(name), Ethernet(0x0800, ip), FrameKind::kIpv4, DropReason::kNone, protocol, 14,
          l4_offset};
}
ParseRow Bad4(std::string name, const Bytes& ip, DropReason defect) {
  return {std::move(name), Ethernet(0x0800, ip), FrameKind::kIpv4, defect};
}
ParseRow Good6(std::string name, const Bytes& ip, uint8_t protocol, uint16_t l4_offset = 54) {
  return {std::move(name), Ethernet(0x86dd, ip), FrameKind::kIpv6, DropReason::kNone, protocol, 14,
          l4_offset};
}
ParseRow Bad6(std::string name, const Bytes& ip, DropReason defect) {
  return {std::move(name), Ethernet(0x86dd, ip), FrameKind::kIpv6, defect};
}

std::vector<ParseRow> Ipv4SourceRows() {
  std::vector<ParseRow> rows;
  const std::pair<const char*, const char*> bad[] = {
      {"Loopback", "127.0.0.1"},        {"LoopbackNetEnd", "127.255.255.255"},
      {"Multicast", "224.0.0.1"},       {"MulticastEnd", "239.255.255.255"},
      {"Broadcast", "255.255.255.255"}, {"Reserved", "240.0.0.1"},
      {"Unspecified", "0.0.0.0"},       {"ThisNetwork", "0.1.2.3"}};
  for (const auto& [name, source] : bad) {
    rows.push_back(Bad4(std::string("Ipv4Source") + name, Ipv4(Tcp(), {.source = source}),
                        DropReason::k_bad_source));
  }
  for (const auto& [name, source] :
       {std::pair("First", "1.0.0.0"), std::pair("BelowLoopback", "126.255.255.255"),
        std::pair("AboveLoopback", "128.0.0.0"), std::pair("BelowMulticast", "223.255.255.255")}) {
    rows.push_back(Good4(std::string("Ipv4Source") + name, Ipv4(Tcp(), {.source = source}), kTcp));
  }
  return rows;
}

std::vector<ParseRow> Ipv4FragmentRows() {
  const Bytes tcp = Tcp({}, Bytes(20));
  return {
      Good4("Ipv4FirstFragmentWithTheWholeTcpHeader", Ipv4(tcp, {.flags_fragment = 0x2000}), kTcp),
      Good4("Ipv4LaterFragment", Ipv4(Bytes(8), {.flags_fragment = 0x2001}), kTcp),
      Good4("Ipv4LastFragment", Ipv4(Bytes(1), {.flags_fragment = 0x0001}), kTcp),
      Good4("Ipv4LaterFragmentOfUdp", Ipv4(Bytes(3), {.protocol = kUdp, .flags_fragment = 0x0100}),
            kUdp),
      Good4("Ipv4ReservedFlagIsNoFragment", Ipv4(tcp, {.flags_fragment = 0x8000}), kTcp),
      Bad4("Ipv4FirstFragmentCutInTcp", Ipv4(Bytes(19), {.flags_fragment = 0x2000}),
           DropReason::k_fragment),
      Good4("Ipv4FirstFragmentMayCutTcpOptions",
            Ipv4(Tcp({.data_offset = 15}), {.flags_fragment = 0x2000}), kTcp),
      Bad4("Ipv4FirstFragmentCutInUdp",
           Ipv4(Bytes(7), {.protocol = kUdp, .flags_fragment = 0x2000}), DropReason::k_fragment),
      Good4("Ipv4FirstFragmentUdpLengthCountsTheWholeDatagram",
            Ipv4(Udp({.length = 4000}, Bytes(16)), {.protocol = kUdp, .flags_fragment = 0x2000}),
            kUdp),
      Bad4("Ipv4FirstFragmentUdpLengthBelowHeader",
           Ipv4(Udp({.length = 7}, Bytes(16)), {.protocol = kUdp, .flags_fragment = 0x2000}),
           DropReason::k_bad_udp_header),
      Good4("Ipv4FragmentEndsAt65535", Ipv4(Bytes(65535 - 20 - 65504), {.flags_fragment = 8188}),
            kTcp),
      Bad4("Ipv4FragmentEndsAbove65535", Ipv4(Bytes(65536 - 20 - 65504), {.flags_fragment = 8188}),
           DropReason::k_fragment),
      Bad4("Ipv4FragmentAtTheHighestOffset", Ipv4(Bytes(100), {.flags_fragment = 0x1fff}),
           DropReason::k_fragment),
      Bad4("Ipv4LaterFragmentOfUnknownProtocol",
           Ipv4(Bytes(8), {.protocol = 47, .flags_fragment = 1}),
           DropReason::k_unsupported_protocol),
  };
}

std::vector<ParseRow> TransportRows4() {
  const auto tcp = [](const TcpFields& fields) { return Ipv4(Tcp(fields)); };
  const auto udp = [](const UdpFields& fields, size_t payload = 4) {
    return Ipv4(Udp(fields, Bytes(payload)), {.protocol = kUdp});
  };
  const DropReason bad_tcp = DropReason::k_bad_tcp_header;
  const DropReason bad_udp = DropReason::k_bad_udp_header;
  return {
      Bad4("TcpCut", Ipv4(Bytes(19, 0x55)), bad_tcp),
      Bad4("TcpMissing", Ipv4({}), bad_tcp),
      Bad4("TcpOffsetBelow5", tcp({.data_offset = 4}), bad_tcp),
      Bad4("TcpOffsetZero", tcp({.data_offset = 0}), bad_tcp),
      Bad4("TcpOffsetPastTheEnd", tcp({.data_offset = 6}), bad_tcp),
      Good4("TcpOffsetAtTheEnd", tcp({.options = Bytes(40)}), kTcp),
      Bad4("TcpSourcePortZero", tcp({.source_port = 0}), DropReason::k_port_zero),
      Bad4("TcpDestinationPortZero", tcp({.destination_port = 0}), DropReason::k_port_zero),
      Good4("TcpPortsBelow256", tcp({.source_port = 1, .destination_port = 255}), kTcp),
      Good4("TcpPortsAreMultiplesOf256", tcp({.source_port = 0x100, .destination_port = 0xff00}),
            kTcp),
      Bad4("UdpCut", Ipv4(Bytes(7, 0x55), {.protocol = kUdp}), bad_udp),
      Bad4("UdpLengthBelow8", udp({.length = 7}), bad_udp),
      Bad4("UdpLengthZero", udp({.length = 0}), bad_udp),
      Bad4("UdpLengthPastThePayload", udp({.length = 13}), bad_udp),
      Good4("UdpLengthBelowThePayload", udp({.length = 11}), kUdp),
      Good4("UdpEmpty", udp({}, 0), kUdp),
      Good4("UdpZeroChecksumIsValidInIpv4", udp({.checksum = 0}), kUdp),
      Bad4("UdpSourcePortZero", udp({.source_port = 0}), DropReason::k_port_zero),
      Bad4("UdpDestinationPortZero", udp({.destination_port = 0}), DropReason::k_port_zero),
      Good4("Icmp", Ipv4(Icmp4(8, 0, 1), {.protocol = kIcmp}), kIcmp),
      Bad4("IcmpCut", Ipv4(Bytes(7), {.protocol = kIcmp}), DropReason::k_bad_icmp),
      Bad4("Icmpv6InIpv4", Ipv4(Bytes(40), {.protocol = kIcmp6}),
           DropReason::k_unsupported_protocol),
      Bad4("IpInIp", Ipv4(Ipv4(Tcp()), {.protocol = 4}), DropReason::k_unsupported_protocol),
      Bad4("Gre", Ipv4(Bytes(40), {.protocol = 47}), DropReason::k_unsupported_protocol),
      Bad4("AhOverIpv4", Ipv4(AuthenticationHeader(kTcp) + Tcp(), {.protocol = 51}),
           DropReason::k_unsupported_protocol),
      Bad4("HopByHopNumberInIpv4", Ipv4(Bytes(40), {.protocol = 0}),
           DropReason::k_unsupported_protocol),
  };
}

std::vector<ParseRow> ExtensionRows() {
  const DropReason bad = DropReason::k_bad_extension;
  const auto ip = [](const Bytes& payload, uint8_t next) {
    return Ipv6(payload, {.next_header = next});
  };
  Bytes eight = Tcp();
  for (int i = 0; i < 8; ++i) eight = Extension(i == 0 ? kTcp : 60) + eight;
  const Bytes jumbo = {kTcp, 0, 0xc2, 4, 0, 1, 0, 0};
  const Bytes router_alert = {kTcp, 0, 5, 2, 0, 0, 1, 0};
  const Bytes option_past_end = {kTcp, 0, 1, 5, 0, 0, 0, 0};
  const Bytes option_without_length = {kTcp, 0, 1, 3, 0, 0, 0, 1};
  return {
      Good6("HopByHop", ip(Extension(kTcp) + Tcp(), 0), kTcp, 62),
      Good6("HopByHopWithRouterAlert", ip(router_alert + Tcp(), 0), kTcp, 62),
      Bad6("HopByHopTwice", ip(Extension(0) + Extension(kTcp) + Tcp(), 0), bad),
      Bad6("HopByHopNotFirst", ip(Extension(0) + Extension(kTcp) + Tcp(), 60), bad),
      Bad6("JumboPayload", ip(jumbo + Tcp(), 0), bad),
      Bad6("JumboPayloadWithLengthZero",
           Ipv6(jumbo + Tcp(), {.next_header = 0, .payload_length = 0}), bad),
      Bad6("HopByHopOptionPastItsEnd", ip(option_past_end + Tcp(), 0), bad),
      Bad6("HopByHopOptionWithoutLength", ip(option_without_length + Tcp(), 0), bad),
      Good6("DestinationOptions", ip(Extension(kTcp) + Tcp(), 60), kTcp, 62),
      Good6("DestinationOptionsAreNotRead", ip(jumbo + Tcp(), 60), kTcp, 62),
      Good6("RoutingWithNoSegmentsLeft", ip(RoutingHeader(kUdp, 0) + Udp(), 43), kUdp, 62),
      Bad6("RoutingWithSegmentsLeft", ip(RoutingHeader(kUdp, 1) + Udp(), 43), bad),
      Good6("Ah", ip(AuthenticationHeader(kTcp) + Tcp(), 51), kTcp, 78),
      Bad6("AhShorterThanItsFields", ip(AuthenticationHeader(kTcp, 0) + Tcp(), 51), bad),
      Good6("AllKindsInARow",
            ip(Extension(60) + Extension(43) + RoutingHeader(44, 0) + FragmentHeader(51, 0, false) +
                   AuthenticationHeader(60) + Extension(kTcp) + Tcp(),
               0),
            kTcp, 54 + 5 * 8 + 24),
      Good6("EightExtensionHeaders", ip(eight, 60), kTcp, 54 + 64),
      Bad6("NineExtensionHeaders", ip(Extension(60) + eight, 60), bad),
      Good6("ExtensionOf256Bytes", ip(Extension(kTcp, 31) + Tcp(), 60), kTcp, 54 + 256),
      Bad6("ExtensionOf264Bytes", ip(Extension(kTcp, 32) + Tcp(), 60), bad),
      Good6("TwoExtensionsOf256Bytes", ip(Extension(60, 15) + Extension(kTcp, 15) + Tcp(), 60),
            kTcp, 54 + 256),
      Bad6("TwoExtensionsOf264Bytes", ip(Extension(60, 15) + Extension(kTcp, 16) + Tcp(), 60), bad),
      Bad6("ExtensionMissing", ip({}, 60), bad),
      Bad6("ExtensionCutInItsFirstBytes", ip(Bytes(7), 60), bad),
      Bad6("ExtensionCutInside", ip({kTcp, 1, 1, 12, 0, 0, 0, 0}, 60), bad),
      Good6("ExtensionThenEmptyUdp", ip(Extension(kUdp) + Udp(), 60), kUdp, 62),
      Bad6("ExtensionThenNothing", ip(Extension(kTcp), 60), DropReason::k_bad_tcp_header),
      Bad6("NoNextHeader", ip({}, 59), DropReason::k_unsupported_protocol),
      Bad6("NoNextHeaderBehindExtension", ip(Extension(59) + Tcp(), 60),
           DropReason::k_unsupported_protocol),
      Bad6("Esp", ip(Bytes(40), 50), DropReason::k_unsupported_protocol),
      Bad6("Mobility", ip(Bytes(40), 135), DropReason::k_unsupported_protocol),
      Bad6("Ipv6InIpv6", ip(Ipv6(Tcp()), 41), DropReason::k_unsupported_protocol),
      Bad6("IcmpInIpv6", ip(Bytes(40), kIcmp), DropReason::k_unsupported_protocol),
  };
}

std::vector<ParseRow> Ipv6FragmentRows() {
  const auto ip = [](const Bytes& payload) { return Ipv6(payload, {.next_header = 44}); };
  const Bytes tcp = Tcp({}, Bytes(12));
  return {
      Good6("Ipv6AtomicFragment", ip(FragmentHeader(kTcp, 0, false) + tcp), kTcp, 62),
      Good6("Ipv6FirstFragment", ip(FragmentHeader(kTcp, 0, true) + tcp), kTcp, 62),
      Good6("Ipv6LaterFragment", ip(FragmentHeader(kTcp, 1280, true) + Bytes(8)), kTcp, 62),
      Good6("Ipv6LaterFragmentOfAnyProtocol", ip(FragmentHeader(59, 8, false) + Bytes(3)), 59, 62),
      Good6("Ipv6LaterFragmentStopsTheWalk", ip(FragmentHeader(60, 8, false) + Bytes(3, 0xff)), 60,
            62),
      Good6("Ipv6FirstFragmentWithExtensionBehind",
            ip(FragmentHeader(60, 0, true) + Extension(kTcp) + tcp), kTcp, 70),
      Bad6("Ipv6FirstFragmentCutInExtension", ip(FragmentHeader(60, 0, true) + Bytes(6)),
           DropReason::k_bad_extension),
      Bad6("Ipv6FragmentHeaderTwice",
           ip(FragmentHeader(44, 0, true) + FragmentHeader(kTcp, 0, true) + tcp),
           DropReason::k_bad_extension),
      Bad6("Ipv6AtomicFragmentThenFragment",
           ip(FragmentHeader(44, 0, false) + FragmentHeader(kTcp, 8, true) + tcp),
           DropReason::k_bad_extension),
      Bad6("Ipv6FragmentHeaderCut", ip(Bytes(7)), DropReason::k_bad_extension),
      Bad6("Ipv6FirstFragmentCutInTcp", ip(FragmentHeader(kTcp, 0, true) + Bytes(19)),
           DropReason::k_fragment),
      Bad6("Ipv6FirstFragmentCutInUdp", ip(FragmentHeader(kUdp, 0, true) + Bytes(7)),
           DropReason::k_fragment),
      Bad6("Ipv6AtomicFragmentCutInTcp", ip(FragmentHeader(kTcp, 0, false) + Bytes(19)),
           DropReason::k_bad_tcp_header),
      Good6("Ipv6FragmentEndsAt65535", ip(FragmentHeader(kTcp, 65528, false) + Bytes(7)), kTcp, 62),
      Bad6("Ipv6FragmentEndsAbove65535", ip(FragmentHeader(kTcp, 65528, false) + Bytes(8)),
           DropReason::k_fragment),
      Bad6("Ipv6FragmentEndsAbove65535WithItsExtensions",
           Ipv6(Extension(44) + FragmentHeader(kTcp, 65528, false) + Bytes(1), {.next_header = 60}),
           DropReason::k_fragment),
  };
}

std::vector<ParseRow> Ipv6SourceRows() {
  std::vector<ParseRow> rows;
  const std::pair<const char*, const char*> bad[] = {{"Loopback", "::1"},
                                                     {"Unspecified", "::"},
                                                     {"Multicast", "ff02::1"},
                                                     {"V4Mapped", "::ffff:198.51.100.7"}};
  for (const auto& [name, source] : bad) {
    rows.push_back(Bad6(std::string("Ipv6Source") + name, Ipv6(Tcp(), {.source = source}),
                        DropReason::k_bad_source));
  }
  for (const auto& [name, source] :
       {std::pair("LinkLocal", "fe80::1"), std::pair("AboveLoopback", "::2"),
        std::pair("High", "::1:0:0:0:1"), std::pair("V4Compatible", "::198.51.100.7")}) {
    rows.push_back(Good6(std::string("Ipv6Source") + name, Ipv6(Tcp(), {.source = source}), kTcp));
  }
  const auto from_unspecified = [](const Bytes& icmp) {
    return Ipv6(icmp, {.next_header = kIcmp6, .source = "::", .hop_limit = 255});
  };
  rows.push_back(Good6("SolicitationFromUnspecified",
                       from_unspecified(Icmp6(135, 0, 0, Bytes(16), "::")), kIcmp6));
  rows.push_back(Bad6("EchoFromUnspecified", from_unspecified(Icmp6(128, 0, 0, Bytes(16), "::")),
                      DropReason::k_bad_source));
  rows.push_back(
      Bad6("CutIcmpFromUnspecified", from_unspecified({135, 0, 0}), DropReason::k_bad_source));
  return rows;
}

void Append(std::vector<ParseRow>* rows, std::vector<ParseRow> more) {
  rows->insert(rows->end(), more.begin(), more.end());
}

}  // namespace

std::vector<ParseRow> EthernetRows() {
  const Bytes ip = Ipv4(Tcp());
  const auto tagged = [&](std::vector<uint32_t> tags) {
    return Ethernet(0x0800, ip, {.tags = std::move(tags)});
  };
  const auto v6 = [](std::vector<uint32_t> tags) {
    return Ethernet(0x86dd, Ipv6(Tcp()), {.tags = std::move(tags)});
  };
  const FrameKind v4_kind = FrameKind::kIpv4;
  const DropReason none = DropReason::kNone;
  return {
      {"Untagged", tagged({}), v4_kind, none, kTcp, 14, 34, 0},
      {"OneDot1qTag", tagged({0x81000064}), v4_kind, none, kTcp, 18, 38, 1},
      {"OneDot1adTag", tagged({0x88a80064}), v4_kind, none, kTcp, 18, 38, 1},
      {"QinQ", tagged({0x88a80064, 0x81000065}), v4_kind, none, kTcp, 22, 42, 2},
      {"TwoDot1qTags", tagged({0x81000064, 0x81000065}), v4_kind, none, kTcp, 22, 42, 2},
      {"TaggedIpv6", v6({0x81000064}), FrameKind::kIpv6, none, kTcp, 18, 58, 1},
      {"QinQIpv6", v6({0x88a80064, 0x81000065}), FrameKind::kIpv6, none, kTcp, 22, 62, 2},
      {"ThreeTags", tagged({0x88a80064, 0x81000065, 0x81000066}), FrameKind::kUnreadable,
       DropReason::k_vlan_depth, 0, 0, 0, 2},
      {"OtherTagType", tagged({0x91000064}), FrameKind::kOther, none},
      {"OtherTagTypeBehindATag", tagged({0x81000064, 0x92000065}), FrameKind::kOther, none, 0, 18,
       0, 1},
      {"Lldp", Ethernet(0x88cc, Bytes(46)), FrameKind::kOther, none},
      {"Ieee8023Length", Ethernet(0x0026, Bytes(46)), FrameKind::kOther, none},
      {"EmptyUnknownType", Ethernet(0x1234, {}), FrameKind::kOther, none},
      {"Arp", Ethernet(0x0806, Bytes(28)), FrameKind::kArp, none},
      {"TaggedArp", Ethernet(0x0806, Bytes(28), {.tags = {0x81000001}}), FrameKind::kArp, none, 0,
       18, 0, 1},
      {"CutArp", Ethernet(0x0806, Bytes(27)), FrameKind::kArp, DropReason::k_truncated},
      {"TagWithNothingBehind", Ethernet(0x8100, {}), FrameKind::kUnreadable,
       DropReason::k_truncated, 0, 0},
      {"TypeInsideTagCut", Ethernet(0x8100, Bytes(3)), FrameKind::kUnreadable,
       DropReason::k_truncated, 0, 0},
      {"CutBeforeIpv4Destination", Ethernet(0x0800, Bytes(19)), FrameKind::kUnreadable,
       DropReason::k_truncated},
      {"CutBeforeIpv6Destination", Ethernet(0x86dd, Bytes(39)), FrameKind::kUnreadable,
       DropReason::k_truncated},
  };
}

std::vector<ParseRow> Ipv4Rows() {
  const Bytes tcp = Tcp();
  std::vector<ParseRow> rows = {
      Good4("Ipv4Tcp", Ipv4(tcp), kTcp),
      Good4("Ipv4Udp", Ipv4(Udp(), {.protocol = kUdp}), kUdp),
      Good4("Ipv4WithOptions", Ipv4(tcp, {.options = Bytes(4, 1)}), kTcp, 38),
      Good4("Ipv4WithLongestOptions", Ipv4(tcp, {.options = Bytes(40, 1)}), kTcp, 74),
      Good4("Ipv4UdpWithOptions", Ipv4(Udp(), {.protocol = kUdp, .options = Bytes(8, 1)}), kUdp,
            42),
      Good4("Ipv4Padded", Ipv4(tcp) + Bytes(6), kTcp),
      Good4("Ipv4BadHeaderChecksumIsNotChecked", Ipv4(tcp, {.id = 1}), kTcp),
      Bad4("Ipv4Version6", Ipv4(tcp, {.version_ihl = 0x65}), DropReason::k_bad_ip_version),
      Bad4("Ipv4Version0", Ipv4(tcp, {.version_ihl = 0x05}), DropReason::k_bad_ip_version),
      Bad4("Ipv4Ihl4", Ipv4(tcp, {.version_ihl = 0x44}), DropReason::k_bad_ip_header),
      Bad4("Ipv4Ihl0", Ipv4(tcp, {.version_ihl = 0x40}), DropReason::k_bad_ip_header),
      Bad4("Ipv4IhlPastTheFrame", Ipv4(tcp, {.version_ihl = 0x4f}), DropReason::k_bad_ip_header),
      Bad4("Ipv4TotalLengthPastTheFrame", Ipv4(tcp, {.total_length = 41}),
           DropReason::k_bad_ip_length),
      Bad4("Ipv4TotalLengthBelowTheHeader", Ipv4(tcp, {.total_length = 19}),
           DropReason::k_bad_ip_length),
      Bad4("Ipv4TotalLengthBelowTheOptions",
           Ipv4(tcp, {.options = Bytes(4, 1), .total_length = 23}), DropReason::k_bad_ip_length),
      Bad4("Ipv4TotalLengthZero", Ipv4(tcp, {.total_length = 0}), DropReason::k_bad_ip_length),
      Bad4("Ipv4TcpHeaderPastTheTotalLength", Ipv4(tcp, {.total_length = 39}),
           DropReason::k_bad_tcp_header),
      Bad4("Ipv4TtlZero", Ipv4(tcp, {.ttl = 0}), DropReason::k_ttl_zero),
      Good4("Ipv4TtlOneIsNoDefect", Ipv4(tcp, {.ttl = 1}), kTcp),
      Bad4("Ipv4LengthComesBeforeSource",
           Ipv4(tcp, {.source = "127.0.0.1", .ttl = 0, .total_length = 9}),
           DropReason::k_bad_ip_length),
      Bad4("Ipv4SourceComesBeforeTtl", Ipv4(tcp, {.source = "127.0.0.1", .ttl = 0}),
           DropReason::k_bad_source),
      Bad4("Ipv4TtlComesBeforeFragment", Ipv4(Bytes(2), {.ttl = 0, .flags_fragment = 0x2000}),
           DropReason::k_ttl_zero),
  };
  rows[6].frame[14 + 10] ^= 0x40;
  Append(&rows, Ipv4SourceRows());
  Append(&rows, Ipv4FragmentRows());
  Append(&rows, TransportRows4());
  return rows;
}

std::vector<ParseRow> Ipv6Rows() {
  const Bytes tcp = Tcp();
  const auto udp = [](const UdpFields& fields) {
    return Ipv6(Udp(fields, Bytes(4)), {.next_header = kUdp});
  };
  std::vector<ParseRow> rows = {
      Good6("Ipv6Tcp", Ipv6(tcp), kTcp),
      Good6("Ipv6Udp", udp({}), kUdp),
      Good6("Ipv6Icmp", Ipv6(Icmp6(128, 0, 1), {.next_header = kIcmp6}), kIcmp6),
      Bad6("Ipv6IcmpCut", Ipv6(Bytes(7), {.next_header = kIcmp6}), DropReason::k_bad_icmp),
      Good6("Ipv6Padded", Ipv6(tcp) + Bytes(6), kTcp),
      Good6("Ipv6ClassAndFlowLabel", Ipv6(tcp, {.version_class_flow = 0x6bffffff}), kTcp),
      Bad6("Ipv6Version4", Ipv6(tcp, {.version_class_flow = 0x45000000}),
           DropReason::k_bad_ip_version),
      Bad6("Ipv6PayloadPastTheFrame", Ipv6(tcp, {.payload_length = 21}),
           DropReason::k_bad_ip_length),
      Bad6("Ipv6PayloadZero", Ipv6(tcp, {.payload_length = 0}), DropReason::k_bad_tcp_header),
      Bad6("Ipv6PayloadBelowTcp", Ipv6(tcp, {.payload_length = 19}), DropReason::k_bad_tcp_header),
      Bad6("Ipv6LongerThan65535", Ipv6(tcp + Bytes(65496 - 20)), DropReason::k_bad_ip_length),
      Good6("Ipv6Of65535Bytes", Ipv6(tcp + Bytes(65495 - 20)), kTcp),
      Bad6("Ipv6HopLimitZero", Ipv6(tcp, {.hop_limit = 0}), DropReason::k_ttl_zero),
      Good6("Ipv6HopLimitOneIsNoDefect", Ipv6(tcp, {.hop_limit = 1}), kTcp),
      Bad6("Ipv6UdpZeroChecksum", udp({.checksum = 0}), DropReason::k_zero_udp_checksum),
      Bad6("Ipv6UdpLengthPastThePayload", udp({.length = 13}), DropReason::k_bad_udp_header),
      Bad6("Ipv6UdpLengthBelow8", udp({.length = 7}), DropReason::k_bad_udp_header),
      Bad6("Ipv6TcpPortZero", Ipv6(Tcp({.destination_port = 0})), DropReason::k_port_zero),
      Bad6("Ipv6TcpOffsetPastTheEnd", Ipv6(Tcp({.data_offset = 6})), DropReason::k_bad_tcp_header),
      Bad6("Ipv6ExtensionComesBeforeSource",
           Ipv6(RoutingHeader(6, 1) + tcp, {.next_header = 43, .source = "::1"}),
           DropReason::k_bad_extension),
      Bad6("Ipv6SourceComesBeforeHopLimit", Ipv6(tcp, {.source = "::1", .hop_limit = 0}),
           DropReason::k_bad_source),
  };
  Append(&rows, Ipv6SourceRows());
  Append(&rows, ExtensionRows());
  Append(&rows, Ipv6FragmentRows());
  return rows;
}

std::vector<ParseRow> AllParseRows() {
  std::vector<ParseRow> rows = EthernetRows();
  Append(&rows, Ipv4Rows());
  Append(&rows, Ipv6Rows());
  return rows;
}

}  // namespace fairlead::testing
