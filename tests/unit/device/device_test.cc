#include "dataplane/device/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::HasSubstr;

std::string MemifArguments(std::string_view text) {
  const Result<DeviceSpec> device = ParseDevice(text);
  EXPECT_TRUE(device.ok()) << device.status().message();
  return device.ok() ? VdevArguments(*device, {.queue_count = 1, .frame_bytes = 1518}) : "";
}

TEST(ParseDevice, PassesMemifOptionsToTheDriver) {
  EXPECT_EQ(MemifArguments("memif:/run/a.sock"),
            "socket=/run/a.sock,socket-abstract=no,id=0,role=server");
  EXPECT_EQ(MemifArguments("memif:/run/a.sock,role=client,id=7"),
            "socket=/run/a.sock,socket-abstract=no,id=7,role=client");
  EXPECT_EQ(MemifArguments("memif:/run/a.sock,role=client,ring=4096"),
            "socket=/run/a.sock,socket-abstract=no,id=0,role=client,rsize=12");
}

TEST(ParseDevice, RejectsInvalidMemifOptions) {
  const struct {
    const char* text;
    const char* reason;
  } rows[] = {
      {"memif:", "the socket's path is missing"},
      {"memif:/a,id=x", "id is not a number: 'id=x'"},
      {"memif:/a,ring=1000", "ring is not a power of two from 2 to 16384: 'ring=1000'"},
      {"memif:/a,ring=1", "ring is not a power of two"},
      {"memif:/a,ring=32768", "ring is not a power of two"},
      {"memif:/a,ring=", "ring is not a power of two"},
      {"memif:/a,size=2", "'size=2' is not a setting; write role=server"},
  };
  for (const auto& row : rows) {
    const Result<DeviceSpec> device = ParseDevice(row.text);
    ASSERT_FALSE(device.ok()) << row.text;
    EXPECT_THAT(std::string(device.status().message()), HasSubstr(row.reason)) << row.text;
  }
}

TEST(ParseDevice, ReadsEachKindOfDevice) {
  const struct {
    const char* text;
    const DeviceKind* kind;
    const char* target;
    const char* interface;
    const char* claim;
    const char* name;
    const char* arguments;
  } rows[] = {
      {"3b:00.1", &kPciDevice, "0000:3b:00.1", "", "device 0000:3b:00.1", "0000:3b:00.1", ""},
      {"0001:3B:00.1", &kPciDevice, "0001:3b:00.1", "", "device 0001:3b:00.1", "0001:3b:00.1", ""},
      {"af_xdp:eth1", &kAfXdpDevice, "eth1", "eth1", "interface eth1", "net_af_xdp_fl3",
       "iface=eth1,queue_count=2,xdp_prog=/p.o"},
      {"af_packet:eth1", &kAfPacketDevice, "eth1", "eth1", "interface eth1", "net_af_packet_fl3",
       "iface=eth1,qpairs=2,framesz=2048,blocksz=16384,framecnt=2048"},
      {"tap:lb0", &kTapDevice, "lb0", "lb0", "interface lb0", "net_tap_fl3", "iface=lb0"},
      {"memif:/a", &kMemifDevice, "/a", "", "memif /a id 0", "net_memif_fl3",
       "socket=/a,socket-abstract=no,id=0,role=server"},
      {"pcap:in,out", &kPcapDevice, "in", "", "pcap writes out", "net_pcap_fl3",
       "rx_pcap=in,tx_pcap=out"},
      {"pcap:in,", &kPcapDevice, "in", "", "pcap reads in", "net_pcap_fl3", "rx_pcap=in"},
      {"null", &kNullDevice, "", "", "", "net_null_fl3", "no-rx=1"},
      {"ring", &kRingDevice, "", "", "", "net_ring_fl3", ""},
      {"vdev:net_x", &kVdevDevice, "net_x", "", "device net_x", "net_x", ""},
  };
  for (const auto& row : rows) {
    const Result<DeviceSpec> device = ParseDevice(row.text);
    ASSERT_TRUE(device.ok()) << device.status().message();
    EXPECT_EQ(device->kind, row.kind) << row.text;
    EXPECT_EQ(device->target, row.target) << row.text;
    EXPECT_EQ(device->interface(), row.interface) << row.text;
    EXPECT_EQ(device->claim(), row.claim) << row.text;
    EXPECT_EQ(VdevName(*device, 3), row.name) << row.text;
    EXPECT_EQ(VdevArguments(*device, {2, 1522, "/p.o"}), row.arguments) << row.text;
  }
}

TEST(ParseDevice, ListsTheValidFormsForAnUnknownDevice) {
  for (const char* text : {"", "eth1", "null:", "ring:1", "af_xdp", "wire:eth1", "3b:00.8"}) {
    EXPECT_EQ(ParseDevice(text).status().message(),
              "unknown device '" + std::string(text) +
                  "'; write a PCI address (0000:3b:00.0), af_xdp:IF, af_packet:IF, "
                  "tap:NAME, memif:PATH, pcap:IN,OUT, null, ring or vdev:NAME");
  }
  EXPECT_EQ(ParseDevice("vdev:").status().message(), "device 'vdev:': the name is missing");
  EXPECT_EQ(ParseDevice("tap:a/b").status().message(),
            "device 'tap:a/b': 'a/b' is not an interface name");
  for (const char* name : {"tap%d", "a:b", "a b", "a\tb", ".", "..", "", "longer-than-15-by"}) {
    EXPECT_THAT(ParseDevice("tap:" + std::string(name)).status().message(),
                HasSubstr("is not an interface name"));
  }
  EXPECT_EQ(ParseDevice("pcap:,").status().message(),
            "device 'pcap:,': write pcap:IN,OUT; one of the two files may be empty");
}

}  // namespace
}  // namespace fairlead
