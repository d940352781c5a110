#include "lib/encap/nat_icmp.h"

#include <algorithm>
#include <cstdint>

#include <gtest/gtest.h>

#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;

constexpr uint8_t kNextHop[6] = {2, 0, 0, 0, 0, 0xb};
constexpr uint8_t kPort[6] = {2, 0, 0, 0, 0, 0xa};
const Bytes kMacs = {2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa};

// The hosts of a test, the same for both families.
struct Hosts {
  bool v4;
  Bytes client;
  Bytes frontend;
  Bytes backend;
  Bytes router;

  NatEndpoint At(const Bytes& address, uint16_t port) const {
    NatEndpoint endpoint{{}, port};
    std::copy(address.begin(), address.end(), endpoint.address.begin());
    return endpoint;
  }
};
const Hosts kHosts4 = {
    true, {198, 51, 100, 7}, {203, 0, 113, 10}, {10, 0, 0, 11}, {192, 0, 2, 254}};
const Hosts kHosts6 = {false,
                       {0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7},
                       {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10},
                       {0x20, 1, 0xd, 0xb8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11},
                       {0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe}};

enum class L4 { kTcp, kUdp, kUdpNoChecksum };

// An IP packet between two endpoints, cut after `l4_bytes` bytes of its L4.
Bytes Quote(const Hosts& hosts, L4 l4, const Bytes& from, uint16_t from_port, const Bytes& to,
            uint16_t to_port, size_t l4_bytes) {
  const uint8_t protocol = l4 == L4::kTcp ? 6 : 17;
  Bytes body = l4 == L4::kTcp
                   ? slow::MakeTcp(from, to, 16, {}, slow::Payload(31), from_port, to_port)
                   : slow::MakeUdp(from, to, slow::Payload(43), from_port, to_port);
  if (l4 == L4::kUdpNoChecksum) slow::Put16(&body, 6, 0);
  if (hosts.v4) {
    const slow::Ip4 ip{.source = from, .destination = to, .protocol = protocol, .ttl = 9};
    return slow::Slice(slow::MakeIp4(ip, body), 0, 20 + l4_bytes);
  }
  const slow::Ip6 ip{.source = from, .destination = to, .next_header = protocol, .hop_limit = 9};
  return slow::Slice(slow::MakeIp6(ip, body), 0, 40 + l4_bytes);
}

Bytes Message(const Hosts& hosts, const Bytes& from, const Bytes& to, uint8_t ttl,
              const Bytes& quote) {
  if (hosts.v4) {
    const slow::Ip4 ip{.source = from, .destination = to, .protocol = 1, .ttl = ttl};
    return Bytes{8, 0} + slow::MakeIp4(ip, slow::MakeIcmp4(3, 4, 1400, quote));
  }
  const slow::Ip6 ip{.source = from, .destination = to, .next_header = 58, .hop_limit = ttl};
  return Bytes{0x86, 0xdd} + slow::MakeIp6(ip, slow::MakeIcmp6(from, to, 2, 0, 1400, quote));
}

struct ReceivedError {
  explicit ReceivedError(const Bytes& message) : frame(Bytes(12, 2) + message) {
    const auto length = static_cast<uint32_t>(frame.size());
    FlowKey key;
    ParseFrame(frame.data(), length, length, &packet, &key);
    EXPECT_EQ(ReadIcmpError(frame.data(), length, packet, &error), DropReason::kNone);
  }
  Bytes frame;
  ParsedPacket packet;
  IcmpError error;
};

// Calls test(hosts, l4, l4_bytes) for both families, all kinds of L4, and every quoted length from
// 8 to 51 bytes.
template <typename Test>
void ForEveryQuote(Test&& test) {
  for (const Hosts& hosts : {kHosts4, kHosts6}) {
    for (const L4 l4 : {L4::kTcp, L4::kUdp, L4::kUdpNoChecksum}) {
      if (!hosts.v4 && l4 == L4::kUdpNoChecksum) continue;
      for (size_t l4_bytes = 8; l4_bytes <= 51; ++l4_bytes) {
        if (l4 == L4::kTcp && l4_bytes == 17) continue;  // half a checksum is not changed
        SCOPED_TRACE(testing::Message() << (hosts.v4 ? "IPv4 " : "IPv6 ") << static_cast<int>(l4)
                                        << " quoted " << l4_bytes);
        test(hosts, l4, l4_bytes);
      }
    }
  }
}

TEST(NatIcmp, AnErrorAboutAReplyQuotesThePacketThatTheBackendSent) {
  ForEveryQuote([](const Hosts& hosts, L4 l4, size_t l4_bytes) {
    ReceivedError in(Message(hosts, hosts.router, hosts.frontend, 64,
                             Quote(hosts, l4, hosts.frontend, 80, hosts.client, 40000, l4_bytes)));
    TranslateIcmpErrorToBackend(in.frame.data(), in.packet, in.error, hosts.At(hosts.backend, 8080),
                                kNextHop, kPort);
    EXPECT_EQ(in.frame, kMacs + Message(hosts, hosts.router, hosts.backend, 63,
                                        Quote(hosts, l4, hosts.backend, 8080, hosts.client, 40000,
                                              l4_bytes)));
  });
}

TEST(NatIcmp, ABackendsErrorGetsTheFrontendsAddressAsItsSource) {
  ForEveryQuote([](const Hosts& hosts, L4 l4, size_t l4_bytes) {
    ReceivedError in(Message(hosts, hosts.backend, hosts.client, 64,
                             Quote(hosts, l4, hosts.client, 40000, hosts.backend, 8080, l4_bytes)));
    TranslateIcmpErrorToClient(in.frame.data(), in.packet, in.error, hosts.At(hosts.frontend, 80),
                               kNextHop, kPort);
    EXPECT_EQ(in.frame,
              kMacs + Message(hosts, hosts.frontend, hosts.client, 63,
                              Quote(hosts, l4, hosts.client, 40000, hosts.frontend, 80, l4_bytes)));
  });
}

TEST(NatIcmp, AnErrorFromARouterBehindTheBalancerKeepsItsSource) {
  ForEveryQuote([](const Hosts& hosts, L4 l4, size_t l4_bytes) {
    ReceivedError in(Message(hosts, hosts.router, hosts.client, 2,
                             Quote(hosts, l4, hosts.client, 40000, hosts.backend, 8080, l4_bytes)));
    TranslateIcmpErrorToClient(in.frame.data(), in.packet, in.error, hosts.At(hosts.frontend, 80),
                               kNextHop, kPort);
    EXPECT_EQ(in.frame,
              kMacs + Message(hosts, hosts.router, hosts.client, 1,
                              Quote(hosts, l4, hosts.client, 40000, hosts.frontend, 80, l4_bytes)));
  });
}

TEST(NatIcmp, TheKeyOfABackendsErrorStartsAtTheBackend) {
  ReceivedError in(
      Message(kHosts4, kHosts4.backend, kHosts4.client, 64,
              Quote(kHosts4, L4::kTcp, kHosts4.client, 40000, kHosts4.backend, 8080, 8)));
  EXPECT_EQ(in.error.key.ToString(), "tcp 10.0.0.11:8080 -> 198.51.100.7:40000");
}

TEST(NatIcmp, KeepsThePortWhenTheBackendHasNone) {
  ReceivedError in(
      Message(kHosts4, kHosts4.router, kHosts4.frontend, 64,
              Quote(kHosts4, L4::kUdp, kHosts4.frontend, 53, kHosts4.client, 40000, 8)));
  TranslateIcmpErrorToBackend(in.frame.data(), in.packet, in.error, kHosts4.At(kHosts4.backend, 0),
                              kNextHop, kPort);
  EXPECT_EQ(in.frame, kMacs + Message(kHosts4, kHosts4.router, kHosts4.backend, 63,
                                      Quote(kHosts4, L4::kUdp, kHosts4.backend, 53, kHosts4.client,
                                            40000, 8)));
}

}  // namespace
}  // namespace fairlead
