// Writes the seed corpus of icmp_fuzzer.
#include "tests/fuzz/seed_file.h"
#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;

void Write(const std::string& folder, const std::string& name, const Bytes& frame) {
  const Bytes seed = Bytes{3, 90} + frame;
  testing::WriteSeed(folder, name, std::as_bytes(std::span(seed)));
}

// Errors from a router about packets from the frontend to the client.
void WriteAll(const std::string& folder) {
  const slow::Ip4 in4;
  const slow::Ip6 in6;
  const Bytes udp4 = slow::MakeUdp(in4.destination, in4.source, slow::Payload(24), 80, 40000);
  const Bytes tcp4 =
      slow::MakeTcp(in4.destination, in4.source, 16, {}, slow::Payload(9), 80, 40000);
  const Bytes tcp6 =
      slow::MakeTcp(in6.destination, in6.source, 16, {}, slow::Payload(9), 80, 40000);
  const slow::Ip4 router4{
      .source = {192, 0, 2, 254}, .destination = in4.destination, .protocol = 1};
  slow::Ip6 router6 = in6;
  router6.source[15] = 0xfe;
  router6.next_header = 58;
  const auto error4 = [&](uint8_t type, uint8_t code, const Bytes& quote) {
    return slow::Ethernet(0x0800) +
           slow::MakeIp4(router4, slow::MakeIcmp4(type, code, 1400, quote));
  };
  const auto error6 = [&](uint8_t type, const Bytes& quote) {
    return slow::Ethernet(0x86dd) +
           slow::MakeIp6(
               router6, slow::MakeIcmp6(router6.source, router6.destination, type, 0, 1400, quote));
  };
  slow::Ip4 quoted4{.source = in4.destination, .destination = in4.source};
  Write(folder, "udp4", error4(3, 3, slow::MakeIp4(quoted4, udp4)));
  quoted4.protocol = 6;
  Write(folder, "tcp4", error4(3, 4, slow::MakeIp4(quoted4, tcp4)));
  Write(folder, "tcp4_8", error4(11, 0, slow::Slice(slow::MakeIp4(quoted4, tcp4), 0, 28)));
  quoted4.options = {7, 7, 4, 0, 0, 0, 0, 0};
  Write(folder, "options4", error4(12, 0, slow::MakeIp4(quoted4, tcp4)));
  slow::Ip6 quoted6{.source = in6.destination, .destination = in6.source, .next_header = 6};
  Write(folder, "tcp6", error6(2, slow::MakeIp6(quoted6, tcp6)));
  Write(folder, "tcp6_8", error6(1, slow::Slice(slow::MakeIp6(quoted6, tcp6), 0, 48)));
  quoted6.next_header = 0;
  Write(folder, "extensions6",
        error6(3, slow::MakeIp6(quoted6, Bytes{60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4,
                                               0,  0, 0, 0, 6, 0, 0, 1, 0,  0, 0, 9} +
                                             tcp6)));
  // Packets that cause errors of the balancer.
  Write(folder, "cause4",
        slow::Ethernet(0x0800) +
            slow::MakeIp4(in4, slow::MakeUdp(in4.source, in4.destination, slow::Payload(600))));
  Write(folder, "cause6",
        slow::Ethernet(0x86dd, {{0x8100, 5}}) +
            slow::MakeIp6(in6, slow::MakeUdp(in6.source, in6.destination, slow::Payload(1300))));
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  fairlead::WriteAll(fairlead::testing::SeedFolder(argc, argv));
  return 0;
}
