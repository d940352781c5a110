// One service of every mode on the fixture's two ports. Frontends are 203.0.113.N:80 and
// [2001:db8::N]:80 for TCP and UDP:
//
//   N   service  mode  backend                      outer headers
//   10  dsr      dsr   10.0.0.1                     0
//   20  ipip4    ipip  10.0.0.2                     20
//   21  ipip6    ipip  2001:db8:a::3                40
//   22  gue4     gue   10.0.0.4                     32
//   23  gue6     gue   2001:db8:a::5, port 7000     52
//   24  nat4     nat   10.0.0.6:8080                0     IPv4 only
//   25  nat6     nat   [2001:db8:a::7]:8080         0     IPv6 only
#pragma once

#include <string>
#include <vector>

#include "tests/unit/pipeline/fixture.h"

namespace fairlead::testing {

inline const Bytes kClient4 = {198, 51, 100, 7};
inline const Bytes kClient6 = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
inline const Bytes kWan4 = {192, 0, 2, 1};
inline const Bytes kWan6 = {0x20, 1, 0xd, 0xb8, 0, 0xf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
inline Bytes Frontend4(uint8_t n) { return {203, 0, 113, n}; }
// 2001:db8::N with N's decimal digits as hexadecimal digits: N = 20 gives ::20.
inline Bytes Frontend6(uint8_t n) {
  const auto digits = static_cast<uint8_t>(n / 10 * 16 + n % 10);
  return {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, digits};
}
inline Bytes Backend4(uint8_t n) { return {10, 0, 0, n}; }
inline Bytes Backend6(uint8_t n) {
  return {0x20, 1, 0xd, 0xb8, 0, 0xa, 0, 0, 0, 0, 0, 0, 0, 0, 0, n};
}

struct ModeRow {
  const char* name;
  uint8_t frontend;  // N
  uint8_t backend;   // n of its address and MAC
  ForwardingMode mode;
  bool outer_v6;
  uint32_t overhead;
};
inline constexpr ModeRow kModeRows[] = {
    {"dsr", 10, 1, ForwardingMode::kDsr, false, 0},
    {"ipip4", 20, 2, ForwardingMode::kIpip, false, 20},
    {"ipip6", 21, 3, ForwardingMode::kIpip, true, 40},
    {"gue4", 22, 4, ForwardingMode::kGue, false, 32},
    {"gue6", 23, 5, ForwardingMode::kGue, true, 52},
    {"nat4", 24, 6, ForwardingMode::kNat, false, 0},
    {"nat6", 25, 7, ForwardingMode::kNat, true, 0},
};

// The fields of a test packet.
struct TestPacketFields {
  bool v6 = false;
  uint8_t frontend = 10;
  uint8_t protocol = kIpProtoTcp;
  uint8_t flags = kTcpAck;
  size_t payload = 0;
  uint8_t ttl = 64;
  uint8_t tos = 0;
  uint16_t fragment = kIpv4DontFragment;  // IPv4's flags and offset
  uint16_t client_port = 40000;
  Bytes tcp_options = {};
};

inline Bytes MakeL4(const TestPacketFields& wish, const Bytes& source, const Bytes& destination) {
  const Bytes payload = slow::Payload(wish.payload);
  if (wish.protocol == kIpProtoUdp) {
    return slow::MakeUdp(source, destination, payload, wish.client_port, 80);
  }
  return slow::MakeTcp(source, destination, wish.flags, wish.tcp_options, payload, wish.client_port,
                       80);
}

// The IP packet from the client to the frontend.
inline Bytes MakePacket(const TestPacketFields& wish) {
  if (wish.v6) {
    const Bytes to = Frontend6(wish.frontend);
    return slow::MakeIp6({.source = kClient6,
                          .destination = to,
                          .next_header = wish.protocol,
                          .traffic_class = wish.tos,
                          .flow_label = 0x12345,
                          .hop_limit = wish.ttl},
                         MakeL4(wish, kClient6, to));
  }
  const Bytes to = Frontend4(wish.frontend);
  return slow::MakeIp4({.source = kClient4,
                        .destination = to,
                        .protocol = wish.protocol,
                        .tos = wish.tos,
                        .ttl = wish.ttl,
                        .flags_fragment = wish.fragment},
                       MakeL4(wish, kClient4, to));
}
inline Bytes MakeFrame(const TestPacketFields& wish) {
  return slow::Ethernet(wish.v6 ? kEtherTypeIpv6 : kEtherTypeIpv4) + MakePacket(wish);
}
inline Bytes Behind(const Bytes& bytes, size_t at) {
  return slow::Slice(bytes, at, bytes.size() - at);
}

class ModesFixture : public PipelineFixture {
 protected:
  void SetUp() override { Use(Input()); }

  static SnapshotInput Input() {
    SnapshotInput input{.generation = 1, .hash_seed = 7, .services = {}};
    for (const ModeRow& row : kModeRows) {
      const std::string n = std::to_string(row.frontend);
      SnapshotService service =
          MakeService(row.frontend, row.name, "203.0.113." + n + ":80/tcp",
                      {ResolvedAt(EndpointOf(row), row.frontend, row.backend)});
      service.mode = row.mode;
      service.frontends.clear();
      for (const std::string protocol : {"tcp", "udp"}) {
        if (row.mode != ForwardingMode::kNat || !row.outer_v6) {
          service.frontends.push_back(
              Frontend::Parse("203.0.113." + n + ":80/" + protocol).value());
        }
        if (row.mode != ForwardingMode::kNat || row.outer_v6) {
          service.frontends.push_back(
              Frontend::Parse("[2001:db8::" + n + "]:80/" + protocol).value());
        }
      }
      if (row.mode == ForwardingMode::kGue) service.gue_port = row.outer_v6 ? 7000 : 6080;
      input.services.push_back(std::move(service));
    }
    return input;
  }

  static std::string EndpointOf(const ModeRow& row) {
    const std::string n = std::to_string(row.backend);
    const bool nat = row.mode == ForwardingMode::kNat;
    if (!row.outer_v6) return "10.0.0." + n + (nat ? ":8080" : "");
    return nat ? "[2001:db8:a::" + n + "]:8080" : "2001:db8:a::" + n;
  }

  static SnapshotService& ServiceOf(SnapshotInput* input, const std::string& name) {
    for (SnapshotService& service : input->services) {
      if (service.name == name) return service;
    }
    ADD_FAILURE() << "no service " << name;
    return input->services.front();
  }

  // Which families a mode's frontends have.
  static std::vector<bool> FamiliesOf(const ModeRow& row) {
    if (row.mode == ForwardingMode::kNat) return {row.outer_v6};
    return {false, true};
  }

  // Every row, with every family that its frontend has.
  template <typename Check>
  void ForEachMode(Check check) {
    for (const ModeRow& row : kModeRows) {
      for (const bool v6 : FamiliesOf(row)) {
        SCOPED_TRACE(std::string(row.name) + (v6 ? ", inner IPv6" : ", inner IPv4"));
        check(row, v6);
      }
    }
  }
};

}  // namespace fairlead::testing
