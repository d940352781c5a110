// Writes the seed corpus of nat_fuzzer.
#include "tests/fuzz/seed_file.h"
#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;

void Write(const std::string& folder, const std::string& name, const Bytes& frame) {
  const Bytes prefix = {0x1f, 0x90, 5, 0x78, 10, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const Bytes seed = prefix + frame;
  testing::WriteSeed(folder, name, std::as_bytes(std::span(seed)));
}

void WriteAll(const std::string& folder) {
  slow::Ip4 ip4;
  slow::Ip6 ip6;
  const Bytes mss = {1, 2, 4, 5, 0xb4, 1, 1, 0};
  const Bytes udp4 = slow::MakeUdp(ip4.source, ip4.destination, slow::Payload(24));
  const Bytes udp6 = slow::MakeUdp(ip6.source, ip6.destination, slow::Payload(24));
  const Bytes tcp4 = slow::MakeTcp(ip4.source, ip4.destination, 2, mss, slow::Payload(3));
  const Bytes tcp6 = slow::MakeTcp(ip6.source, ip6.destination, 2, mss, slow::Payload(3));
  const Bytes v4 = slow::Ethernet(0x0800);
  const Bytes v6 = slow::Ethernet(0x86dd);
  Write(folder, "udp4", v4 + slow::MakeIp4(ip4, udp4));
  Write(folder, "udp6", v6 + slow::MakeIp6(ip6, udp6));
  Bytes no_checksum = udp4;
  slow::Put16(&no_checksum, 6, 0);
  Write(folder, "udp4_no_checksum", v4 + slow::MakeIp4(ip4, no_checksum));
  ip4.protocol = 6;
  ip6.next_header = 6;
  Write(folder, "tcp4", v4 + slow::MakeIp4(ip4, tcp4));
  Write(folder, "tcp6", v6 + slow::MakeIp6(ip6, tcp6));
  ip4.options = {7, 7, 4, 0, 0, 0, 0, 0};
  Write(folder, "tcp4_options", v4 + slow::MakeIp4(ip4, tcp4));
  ip6.next_header = 60;
  Write(folder, "tcp6_extension", v6 + slow::MakeIp6(ip6, Bytes{6, 0, 1, 4, 0, 0, 0, 0} + tcp6));
  slow::Ip4 fragment;
  fragment.flags_fragment = 0x2000;
  Write(folder, "first4", v4 + slow::MakeIp4(fragment, slow::Slice(udp4, 0, 16)));
  fragment.flags_fragment = 2;
  Write(folder, "later4", v4 + slow::MakeIp4(fragment, slow::Slice(udp4, 16, 16)));
  ip6.next_header = 44;
  Write(folder, "first6",
        v6 + slow::MakeIp6(ip6, Bytes{17, 0, 0, 1, 0, 0, 0, 9} + slow::Slice(udp6, 0, 16)));
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  fairlead::WriteAll(fairlead::testing::SeedFolder(argc, argv));
  return 0;
}
