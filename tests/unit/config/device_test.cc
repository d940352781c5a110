#include "dataplane/config/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::HasSubstr;

std::string MemifArguments(std::string_view text) {
  const Result<DeviceSpec> device = ParseDevice(text);
  EXPECT_TRUE(device.ok()) << device.status().message();
  return device.ok() ? VdevArguments(*device, 1, 1518, "") : "";
}

TEST(ParseDevice, GivesMemifWhatItsWordsSay) {
  EXPECT_EQ(MemifArguments("memif:/run/a.sock"),
            "socket=/run/a.sock,socket-abstract=no,id=0,role=server");
  EXPECT_EQ(MemifArguments("memif:/run/a.sock,role=client,id=7"),
            "socket=/run/a.sock,socket-abstract=no,id=7,role=client");
  EXPECT_EQ(MemifArguments("memif:/run/a.sock,role=client,ring=4096"),
            "socket=/run/a.sock,socket-abstract=no,id=0,role=client,rsize=12");
}

TEST(ParseDevice, RefusesWhatMemifCannotBe) {
  const struct {
    const char* text;
    const char* reason;
  } rows[] = {
      {"memif:", "the socket's path is missing"},
      {"memif:/a,id=x", "id is not a number: 'id=x'"},
      {"memif:/a,ring=1000", "ring is not a power of two within 2..16384: 'ring=1000'"},
      {"memif:/a,ring=1", "ring is not a power of two"},
      {"memif:/a,ring=32768", "ring is not a power of two"},
      {"memif:/a,ring=", "ring is not a power of two"},
      {"memif:/a,size=2", "'size=2' is neither role=server"},
  };
  for (const auto& row : rows) {
    const Result<DeviceSpec> device = ParseDevice(row.text);
    ASSERT_FALSE(device.ok()) << row.text;
    EXPECT_THAT(std::string(device.status().message()), HasSubstr(row.reason)) << row.text;
  }
}

}  // namespace
}  // namespace fairlead
