// The port settings of dataplane.yaml that the forwarding modes need, and which values are refused.
#include "dataplane/config/config.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::HasSubstr;

std::string Port(const std::string& settings) {
  return "ports:\n  - {name: wan, device: 'null'" + (settings.empty() ? "" : ", " + settings) +
         "}\n";
}

std::string ManyVlans() {
  std::string text = "untagged";
  for (int i = 1; i <= 64; ++i) text += ", " + std::to_string(i);
  return text;
}

std::string ManyAddresses() {
  std::string text = "192.0.2.1";
  for (int i = 1; i <= 192; ++i) text += ", 198.18.0." + std::to_string(i);
  return text;
}

TEST(ParseConfig, ReadsThePortSettingsThatTheModesNeed) {
  const Result<DataplaneConfig> config = ParseConfig(
      Port("addresses: [192.0.2.1, 2001:db8:f::1], mtu: 1400, gateway: 02:00:00:00:00:fe, "
           "ipip_source: [192.0.2.128/25, 2001:db8:f:1::/64], announce: false, "
           "announce_vlans: [20, untagged, 4094], spread: off") +
          "limits: {replies_per_second: 7, icmp_errors_per_second: 0, announcements_per_second: "
          "9}\n",
      "test");
  ASSERT_TRUE(config.ok()) << config.status().message();
  const PortConfig& port = config->ports.at(0);
  ASSERT_EQ(port.addresses.size(), 2U);
  EXPECT_EQ(port.addresses[1].ToString(), "2001:db8:f::1");
  EXPECT_EQ(port.mtu, 1400);
  EXPECT_EQ(port.gateway->ToString(), "02:00:00:00:00:fe");
  ASSERT_EQ(port.ipip_sources.size(), 2U);
  EXPECT_EQ(port.ipip_sources[0].ToString(), "192.0.2.128/25");
  EXPECT_EQ(config->replies_per_second, 7U);
  EXPECT_EQ(config->icmp_errors_per_second, 0U);
  EXPECT_EQ(config->announcements_per_second, 9U);
  EXPECT_FALSE(port.announce);
  EXPECT_EQ(port.announce_vlans, (std::vector<uint16_t>{20, kUntagged, 4094}));
  EXPECT_EQ(port.spread, SpreadMode::kOff);
}

TEST(ParseConfig, SaysThatTheNullDeviceNeedsQuotes) {
  for (const char* device : {"null", "~", ""}) {
    const Result<DataplaneConfig> config =
        ParseConfig("ports:\n- name: wan\n  device: " + std::string(device) + "\n", "test");
    EXPECT_THAT(config.status().message(),
                HasSubstr("line 3: ports[0].device: must be a non-empty string; for the device "
                          "that discards everything write 'null' in quotes"));
  }
}

TEST(ParseConfig, AcceptsOneIpipSourceWithoutAList) {
  const Result<DataplaneConfig> config = ParseConfig(Port("ipip_source: 10.9.0.0/16"), "test");
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->ports.at(0).ipip_sources.at(0).bits, 16);
  EXPECT_FALSE(config->ports.at(0).gateway.has_value());
  EXPECT_EQ(config->icmp_errors_per_second, 1000U);
  EXPECT_EQ(config->ports.at(0).spread, SpreadMode::kAuto);
}

TEST(ParseConfig, AcceptsOneVlanWithoutAList) {
  const auto vlans = [](const char* settings) {
    return ParseConfig(Port(settings), "test").value().ports.at(0).announce_vlans;
  };
  EXPECT_EQ(vlans(""), std::vector<uint16_t>{kUntagged});
  EXPECT_EQ(vlans("announce_vlans: 20"), std::vector<uint16_t>{20});
}

TEST(ParseConfig, RejectsInvalidPortSettings) {
  const struct {
    std::string settings;
    const char* message;
  } rows[] = {
      {"addresses: [127.0.0.1]", "port wan: addresses: 127.0.0.1 is not a usable unicast address"},
      {"addresses: [web]", "ports[0].addresses[0]: address"},
      {"ipip_source: 192.0.2.1/25", "has bits after its length set"},
      {"ipip_source: 192.0.2.1/32",
       "port wan: ipip_source: 192.0.2.1/32 is not a unicast prefix of"},
      {"ipip_source: 10.0.0.0/7", "10.0.0.0/7 is not a unicast prefix of 8 to 31"},
      {"ipip_source: [10.1.0.0/16, 10.2.0.0/16]",
       "port wan: ipip_source: 10.2.0.0/16 is the second prefix of its family"},
      {"gateway: '01:00:00:00:00:fe'",
       "port wan: gateway: 01:00:00:00:00:fe cannot be a station's"},
      {"gateway: 192.0.2.254", "ports[0].gateway: MAC"},
      {"announce: no", "ports[0].announce: 'no' is neither true nor false"},
      {"announce_vlans: [20, 4095]",
       "ports[0].announce_vlans[1]: '4095' is no VLAN; write untagged, or 1 to 4094"},
      {"announce_vlans: 0", "ports[0].announce_vlans: '0' is no VLAN"},
      {"announce_vlans: [[20]]", "ports[0].announce_vlans[0]: must be a non-empty string"},
      {"announce_vlans: {id: 20}", "ports[0].announce_vlans: must be a list"},
      {"announce_vlans: [20, untagged, 20]",
       "ports[0].announce_vlans[2]: 20 is there twice; remove one"},
      {"announce_vlans: [020, 20]", "ports[0].announce_vlans[1]: 20 is there twice; remove one"},
      {"announce_vlans: []",
       "ports[0].announce_vlans: is empty; name VLANs, or write announce: false instead"},
      {"announce_vlans: [" + ManyVlans() + "]",
       "ports[0].announce_vlans: has 65 VLANs; at most 64 are possible"},
      {"spread: rss",
       "ports[0].spread: 'rss' is no way to spread packets; write auto, hardware, software or off"},
      {"addresses: [" + ManyAddresses() + "]",
       "port wan: addresses: all ports together have more than 192"},
      {"addresses: [192.0.2.1, 2001:db8::1, 192.0.2.1]",
       "port wan: addresses: 192.0.2.1 is there twice; remove one"},
      {"mac: '01:00:00:00:00:01'",
       "port wan: mac: 01:00:00:00:00:01 cannot be a station's MAC address"},
      {"gateways: []", "ports[0].gateways: unknown key"},
  };
  for (const auto& row : rows) {
    const Result<DataplaneConfig> config = ParseConfig(Port(row.settings), "test");
    ASSERT_FALSE(config.ok()) << row.settings;
    EXPECT_THAT(config.status().message(), HasSubstr(row.message));
  }
  EXPECT_THAT(ParseConfig("limits: {icmp_errors_per_second: -1}", "test").status().message(),
              HasSubstr("limits.icmp_errors_per_second: '-1' is not a number from 0 to 1000000"));
}

TEST(ParseConfig, RejectsPortsThatWouldShareADeviceOrAMac) {
  const struct {
    const char* first;
    const char* second;
    const char* message;
  } rows[] = {
      {"'0000:3b:00.0'", "'3B:00.0'",
       "port lan: device: 3B:00.0 is already in use by port wan; give each port a device of its "
       "own"},
      {"'0000:3b:00.0'", "'vdev:0000:3b:00.0'",
       "port lan: device: vdev:0000:3b:00.0 is already in use by port wan"},
      {"af_packet:eth1", "af_xdp:eth1",
       "port lan: device: af_xdp:eth1 is already in use by port wan"},
      {"'3b:00.0', kernel: 'tap:wan0'", "'3b:00.1', kernel: 'tap:wan0'",
       "port lan: kernel: interface wan0 is already in use by port wan; name another interface"},
      {"'3b:00.0', kernel: 'tap:eth1'", "af_packet:eth1",
       "port lan: device: af_packet:eth1 is already in use by port wan"},
      {"memif:/a", "'memif:/a,id=0'",
       "port lan: device: memif:/a,id=0 is already in use by port wan"},
      {"'null', mac: '02:00:00:00:00:01'",
       "'null', mac: ['02:00:00:00:00:01', '02:00:00:00:00:02']",
       "port lan: mac: 02:00:00:00:00:01 is already that of port wan; give each port its own, or "
       "remove mac to use the device's"},
  };
  for (const auto& row : rows) {
    const std::string text = "ports:\n  - {name: wan, device: " + std::string(row.first) +
                             "}\n  - {name: lan, device: " + row.second + "}\n";
    const Result<DataplaneConfig> config = ParseConfig(text, "test");
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_THAT(config.status().message(), HasSubstr(row.message)) << text;
  }
}

// The address of the host's loopback interface may be the source on every uplink. Several ports may
// accept one MAC, as that of a router that they stand for.
TEST(ParseConfig, AcceptsAnAddressAndAnAcceptedMacOnSeveralPorts) {
  for (const auto& [first, second] :
       {std::pair("addresses: [192.0.2.1]", "addresses: [192.0.2.1]"),
        std::pair("mac: ['02:00:00:00:00:01', '02:00:00:00:00:ff']",
                  "mac: ['02:00:00:00:00:02', '02:00:00:00:00:ff']")}) {
    const std::string text = "ports:\n  - {name: a, device: 'null', " + std::string(first) +
                             "}\n  - {name: b, device: 'null', " + second + "}\n";
    EXPECT_TRUE(ParseConfig(text, "test").ok()) << text;
  }
}

TEST(ParseConfig, NamesFileLineKeyValueAndRemedy) {
  const struct {
    const char* text;
    const char* message;
  } rows[] = {
      {"# a comment\nworkers: many\n",
       "d.yaml: line 2: workers: 'many' is not a number from 1 to 64"},
      {"ports:\n  - name: wan\n    device: 'null'\n    mtu: 20\n",
       "d.yaml: line 4: ports[0].mtu: '20' is not a number from 68 to 16000"},
      {"ports:\n  - name: wan\n    device: 'null'\n    addresses:\n      - 192.0.2.1\n      - "
       "web\n",
       "d.yaml: line 6: ports[0].addresses[1]: "},
      {"workers: 1\nworker: 2\n",
       "d.yaml: line 2: worker: unknown key; the keys here are workers, cores, idle, ports, "
       "flow_table, limits"},
      {"workers: 1\nidle: busy\nworkers: 2\n",
       "d.yaml: line 3: workers: duplicate key; remove one"},
      {"ports:\n  - device: 'null'\n", "d.yaml: line 2: ports[0].name: must be a non-empty"},
      {"- wan\n", "d.yaml: must be a mapping with the keys workers, cores"},
      {"limits: [1]\n", "d.yaml: line 1: limits: must be a mapping with the keys replies_"},
      {"? [a]\n: 1\n", "unknown key"},
      {"workers: 1\n---\nworkers: 2\n", "d.yaml: line 3: a second document begins here"},
      {"workers: 1\n  idle: busy\n", "d.yaml: line 2: "},
  };
  for (const auto& row : rows) {
    const Result<DataplaneConfig> config = ParseConfig(row.text, "d.yaml");
    ASSERT_FALSE(config.ok()) << row.text;
    EXPECT_EQ(config.status().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(config.status().message(), HasSubstr(row.message));
  }
}

TEST(ParseConfig, AFileWithOnlyCommentsHasTheDefaults) {
  for (const char* text : {"", "# nothing\n", "---\n# nothing\n", "~\n"}) {
    const Result<DataplaneConfig> config = ParseConfig(text, "d.yaml");
    ASSERT_TRUE(config.ok()) << config.status().message();
    EXPECT_TRUE(config->ports.empty());
    EXPECT_EQ(config->flow_records, DataplaneConfig().flow_records);
  }
}

}  // namespace
}  // namespace fairlead
