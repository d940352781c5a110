#include "dataplane/device/device_mtu.h"

#include <initializer_list>

#include <gtest/gtest.h>

namespace fairlead {
namespace {

constexpr uint32_t kTwoTags = 14 + 8 + 4;  // header, two tags, checksum

// What drivers of DPDK 22.11 report: max_rx_pktlen and max_mtu, and how many tags they count.
constexpr NicLimits kIgb = {16383, 16383 - 22};        // one
constexpr NicLimits kIxgbe = {15872, 15872 - 18};      // none
constexpr NicLimits kI40e = {9728, 9728 - 26};         // two
constexpr NicLimits kVirtio = {9728, 9728 - 30};       // one, and its own header
constexpr NicLimits kVirtioOfGivenMtu = {9728, 1500};  // the host's MTU
constexpr NicLimits kOfNoMaximum = {65536, 65535};

TEST(DeviceMtu, LeavesSpaceForTheTagsThatTheDriverDoesNotCount) {
  EXPECT_EQ(DeviceMtuFor(1500, kIgb).mtu, 1504);
  EXPECT_EQ(DeviceMtuFor(1500, kIxgbe).mtu, 1508);
  EXPECT_EQ(DeviceMtuFor(1500, kI40e).mtu, 1500);
  EXPECT_EQ(DeviceMtuFor(1500, kVirtio).mtu, 1500);
  EXPECT_EQ(DeviceMtuFor(1500, kVirtioOfGivenMtu).mtu, 1500);
  EXPECT_EQ(DeviceMtuFor(1500, kOfNoMaximum).mtu, 1508);
}

TEST(DeviceMtu, ReceivesAFullSizeFrameWithTwoTagsFromEveryDriver) {
  for (const NicLimits& limits : {kIgb, kIxgbe, kI40e, kVirtio, kVirtioOfGivenMtu, kOfNoMaximum}) {
    for (const uint16_t mtu : std::initializer_list<uint16_t>{68, 1400, 1500, 9000}) {
      if (mtu > limits.max_mtu) continue;
      const DeviceMtu device = DeviceMtuFor(mtu, limits);
      EXPECT_GE(device.frame_bytes, mtu + kTwoTags) << limits.max_mtu << " " << mtu;
      EXPECT_LE(mtu, device.most_with_tags) << limits.max_mtu << " " << mtu;
      EXPECT_LE(device.mtu, limits.max_mtu);
    }
  }
}

// With 1,500 igb leaves its limit at one tag, since it sets the limit for larger MTUs only.
TEST(DeviceMtu, LiftsIgbAboveItsLimitForOrdinaryFrames) {
  EXPECT_GT(DeviceMtuFor(1500, kIgb).mtu, 1500);
  EXPECT_EQ(DeviceMtuFor(1500, kIgb).frame_bytes, 1526U);
}

TEST(DeviceMtu, UsesWhatTheNicHasAndSaysWhatWouldFit) {
  constexpr NicLimits kSmall = {1500 + 22, 1500};
  const DeviceMtu device = DeviceMtuFor(1498, kSmall);
  EXPECT_EQ(device.mtu, 1500);
  EXPECT_EQ(device.most_with_tags, 1496);
  EXPECT_EQ(DeviceMtuFor(1496, kSmall).mtu, 1500);
  EXPECT_EQ(DeviceMtuFor(1496, kSmall).frame_bytes, 1496 + kTwoTags);
}

TEST(DeviceMtu, DoesNotHideAPortMtuAboveTheNics) {
  EXPECT_EQ(DeviceMtuFor(9000, kVirtioOfGivenMtu).mtu, 9000);
}

}  // namespace
}  // namespace fairlead
