#include "dataplane/config/device_claims.h"

#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::HasSubstr;

std::vector<PortConfig> PortsOn(std::initializer_list<std::string> devices) {
  std::vector<PortConfig> ports;
  for (const std::string& device : devices) {
    PortConfig port;
    port.name = "port" + std::to_string(ports.size());
    port.device = *ParseDevice(device);
    ports.push_back(std::move(port));
  }
  return ports;
}

// A name that no other test uses.
std::string OwnInterface() { return "if" + std::to_string(::getpid()); }

TEST(AwaitDevices, NamesTheDeviceThatIsAbsentAndWaitsNoLongerThanTold) {
  std::vector<std::string> waited;
  const auto note = [&](const std::string& device) { waited.push_back(device); };
  AwaitDevices(PortsOn({"null", "af_packet:lo"}), std::chrono::hours(1), note);
  EXPECT_TRUE(waited.empty());
  AwaitDevices(PortsOn({"af_packet:" + OwnInterface(), "ffff:ff:1f.7"}),
               std::chrono::milliseconds(1), note);
  EXPECT_EQ(waited, std::vector<std::string>{"af_packet:" + OwnInterface() + " of port port0"});
  waited.clear();
  AwaitDevices(PortsOn({"ffff:ff:1f.7"}), std::chrono::milliseconds(1), note);
  EXPECT_EQ(waited, std::vector<std::string>{"ffff:ff:1f.7 of port port0"});
}

TEST(ClaimDevices, RefusesAnInterfaceThatAnotherProcessHas) {
  const auto ports = PortsOn({"null", "af_packet:" + OwnInterface()});
  {
    const auto first = ClaimDevices(ports);
    ASSERT_TRUE(first.ok()) << first.status().message();
    EXPECT_EQ(ClaimDevices(ports).status().message(),
              "port port1: af_packet:" + OwnInterface() +
                  " is already in use by another fairlead-dataplane");
    const auto by_another_kind = PortsOn({"af_xdp:" + OwnInterface()});
    EXPECT_THAT(ClaimDevices(by_another_kind).status().message(), HasSubstr("already in use"));
  }
  EXPECT_TRUE(ClaimDevices(ports).ok()) << "the other process has ended";
}

TEST(ClaimDevices, LetsProcessesShareWhatTheyExchangeFramesThrough) {
  const auto ports = PortsOn({"memif:/run/x.sock", "null", "ring", "pcap:in,out"});
  const auto first = ClaimDevices(ports);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(first->empty());
}

TEST(ClaimDevices, RefusesATapNamedAsAnInterfaceOfAnotherKind) {
  EXPECT_EQ(ClaimDevices(PortsOn({"tap:lo"})).status().message(),
            "port port0: interface lo already exists, and is not a TAP interface; choose another "
            "name, or remove it (ip link delete lo)");
  EXPECT_TRUE(ClaimDevices(PortsOn({"tap:" + OwnInterface()})).ok());
}

TEST(ClaimDevices, ChecksPciDevices) {
  EXPECT_EQ(ClaimDevices(PortsOn({"ffff:ff:1f.7"})).status().message(),
            "port port0: this host has no PCI device ffff:ff:1f.7; dpdk-devbind.py --status-dev "
            "net lists its NICs");
}

}  // namespace
}  // namespace fairlead
