// Writes the seed corpus of fragments_fuzzer.
#include <random>

#include "tests/fuzz/seed_file.h"
#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;

void Write(const std::string& folder, const std::string& name, const Bytes& bytes) {
  testing::WriteSeed(folder, name, std::as_bytes(std::span(bytes)));
}

// `length` steps over the first `datagrams` datagrams; fixed seed.
Bytes Steps(uint32_t length, uint32_t datagrams) {
  std::mt19937 random(length + datagrams);
  Bytes bytes = {0};
  for (uint32_t i = 0; i < length; ++i) {
    bytes.push_back(static_cast<uint8_t>(random()));
    bytes.push_back(static_cast<uint8_t>(random() % datagrams));
  }
  return bytes;
}

void WriteAll(const std::string& folder) {
  Write(folder, "early", {0, 10, 1, 10, 1, 0, 1, 8, 9});
  Write(folder, "elsewhere", {0, 10, 1, 1, 1, 6, 0, 8, 9});
  Write(folder, "timeout", {0, 10, 1, 4, 0, 4, 0, 4, 0, 4, 0, 6, 0, 8, 9});
  for (const uint32_t datagrams : {3U, 20U, 250U}) {
    Write(folder, "steps_" + std::to_string(datagrams), Steps(300, datagrams));
  }
  const Bytes mtu_200 = {1, 0, 200};
  const Bytes v4 = slow::Ethernet(0x0800);
  slow::Ip4 ip;
  const Bytes udp = slow::MakeUdp(ip.source, ip.destination, slow::Payload(500));
  Write(folder, "cut", mtu_200 + v4 + slow::MakeIp4(ip, udp));
  ip.options = {0x83, 7, 4, 10, 0, 0, 9, 7, 7, 4, 0, 0, 0, 0, 1, 0};
  Write(folder, "cut_options", mtu_200 + v4 + slow::MakeIp4(ip, udp));
  ip.flags_fragment = 0x2000 | 7;
  Write(folder, "cut_fragment", mtu_200 + v4 + slow::MakeIp4(ip, slow::Payload(480)));
  slow::Ip6 ip6;
  ip6.next_header = 60;
  Write(folder, "key6",
        mtu_200 + slow::Ethernet(0x86dd) +
            slow::MakeIp6(
                ip6, Bytes{44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 9, 1, 2, 3, 4} + slow::Payload(32)));
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  fairlead::WriteAll(fairlead::testing::SeedFolder(argc, argv));
  return 0;
}
