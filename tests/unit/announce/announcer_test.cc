#include "dataplane/announce/announcer.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kSecond = 1'000'000;

class AnnouncerTest : public ::testing::Test {
 protected:
  void Make(std::vector<Announcer::Port> ports, uint32_t per_second = 100) {
    announcer_.emplace(std::move(ports), per_second,
                       [this](uint16_t port, std::span<const uint8_t> frame) {
                         if (frames_accepted_ == 0) return false;
                         --frames_accepted_;
                         sent_.push_back(std::to_string(port) + " " + Describe(frame));
                         return true;
                       });
  }
  // "203.0.113.1", "2001:db8::1" or "report ff02::1:ff00:1". In a VLAN: "vlan 20 203.0.113.1".
  static std::string Describe(std::span<const uint8_t> frame) {
    if (frame[12] == 0x81) {
      std::vector<uint8_t> untagged(frame.begin(), frame.end());
      untagged.erase(untagged.begin() + 12, untagged.begin() + 16);
      return "vlan " + std::to_string(frame[14] << 8 | frame[15]) + " " + Describe(untagged);
    }
    if (frame[12] == 8) return IpAddress::FromV4(frame.subspan<28, 4>()).ToString();
    if (frame.size() == 90) {
      return "report " + IpAddress::FromV6(frame.subspan<74, 16>()).ToString();
    }
    return IpAddress::FromV6(frame.subspan<62, 16>()).ToString();
  }
  static std::set<IpAddress> Addresses(std::initializer_list<const char*> texts) {
    std::set<IpAddress> addresses;
    for (const char* text : texts) addresses.insert(IpAddress::Parse(text).value());
    return addresses;
  }
  // Returns what is sent from `from` to `to`, in seconds. Calls Step when the announcer asks for
  // it.
  std::vector<std::string> Sent(double from, double to) {
    sent_.clear();
    auto now = static_cast<uint64_t>(from * kSecond);
    const auto end = static_cast<uint64_t>(to * kSecond);
    while (now < end) {
      const uint64_t next = announcer_->Step(now);
      EXPECT_GT(next, now);
      now = next;
    }
    return sent_;
  }

  std::optional<Announcer> announcer_;
  std::vector<std::string> sent_;
  // How many more frames the ports accept.
  size_t frames_accepted_ = SIZE_MAX;
};

TEST_F(AnnouncerTest, AnnouncesAnAddressThreeTimesInTwoSeconds) {
  Make({{}});
  EXPECT_THAT(Sent(0, 10), IsEmpty());
  announcer_->Follow(Addresses({"203.0.113.1"}), 10 * kSecond);
  EXPECT_THAT(Sent(10, 10.5), ElementsAre("0 203.0.113.1"));
  EXPECT_THAT(Sent(10.5, 11.5), ElementsAre("0 203.0.113.1"));
  EXPECT_THAT(Sent(11.5, 12.5), ElementsAre("0 203.0.113.1"));
  EXPECT_THAT(Sent(12.5, 1000), IsEmpty());
}

TEST_F(AnnouncerTest, AnnouncesOnlyNewAddressesAndForgetsRemovedOnes) {
  Make({{}});
  announcer_->Follow(Addresses({"203.0.113.1", "203.0.113.2"}), 0);
  EXPECT_THAT(Sent(0, 5), ::testing::SizeIs(6));
  announcer_->Follow(Addresses({"203.0.113.2", "203.0.113.3"}), 5 * kSecond);
  EXPECT_THAT(Sent(5, 5.5), ElementsAre("0 203.0.113.3"));
  announcer_->Follow(Addresses({"203.0.113.2"}), 6 * kSecond - 1);
  EXPECT_THAT(Sent(6, 100), IsEmpty());
  announcer_->Follow(Addresses({"203.0.113.2", "203.0.113.3"}), 100 * kSecond);
  EXPECT_THAT(Sent(100, 110), ::testing::SizeIs(3)) << "an address that returns is new";
}

TEST_F(AnnouncerTest, AnnouncesAllAddressesAgainOnAPortWhoseLinkComesUp) {
  Make({{}, {}});
  announcer_->Follow(Addresses({"203.0.113.1", "2001:db8::1"}), 0);
  EXPECT_THAT(Sent(0, 10), ::testing::SizeIs(12));
  announcer_->LinkUp(1, 10 * kSecond);
  EXPECT_THAT(Sent(10, 10.5), ElementsAre("1 203.0.113.1", "1 2001:db8::1"));
  // The link comes up again before all three are sent. They start again, and are not doubled.
  announcer_->LinkUp(1, 10 * kSecond + kSecond / 2);
  EXPECT_THAT(Sent(10.5, 20), ::testing::SizeIs(6));
}

TEST_F(AnnouncerTest, AnnouncesNothingWhereAPortDoesNotAnnounceOrTheRateIsZero) {
  Make({{.announces = false}, {}});
  announcer_->Follow(Addresses({"203.0.113.1"}), 0);
  EXPECT_THAT(Sent(0, 10), ElementsAre("1 203.0.113.1", "1 203.0.113.1", "1 203.0.113.1"));
  Make({{.reports_untagged = true, .vlans = {kUntagged, 20}}}, 0);
  announcer_->Follow(Addresses({"203.0.113.1", "2001:db8::1"}), 0);
  EXPECT_THAT(Sent(0, 10), IsEmpty()) << "the rate is 0";
}

TEST_F(AnnouncerTest, ReportsGroupMembershipsFirstAndRepeatsThem) {
  Make({{.reports_untagged = true}, {.announces = false, .reports_untagged = true}});
  announcer_->Follow(Addresses({"203.0.113.1", "2001:db8::1"}), 0);
  EXPECT_THAT(Sent(0, 0.5), ElementsAre("0 203.0.113.1", "0 report ff02::1:ff00:1", "0 2001:db8::1",
                                        "1 report ff02::1:ff00:1"));
  EXPECT_THAT(Sent(0.5, 3), ::testing::SizeIs(8));
  EXPECT_THAT(Sent(3, 23), ElementsAre("0 report ff02::1:ff00:1", "1 report ff02::1:ff00:1"));
  EXPECT_THAT(Sent(23, 123), ::testing::SizeIs(10));
}

TEST_F(AnnouncerTest, KeepsToTheRateAndOmitsNoAddress) {
  std::set<IpAddress> many;
  for (int i = 1; i <= 200; ++i) {
    many.insert(IpAddress::Parse("203.0.113." + std::to_string(i)).value());
  }
  Make({{}, {}}, 20);
  announcer_->Follow(many, 0);
  EXPECT_LE(Sent(0, 1).size(), 2U * (20 + 2));
  size_t sent = sent_.size();
  sent += Sent(1, 60).size();
  EXPECT_EQ(sent, 2U * 200 * 3);
}

TEST_F(AnnouncerTest, RetriesFramesThatThePortDidNotAccept) {
  Make({{.reports_untagged = true}});
  frames_accepted_ = 1;
  announcer_->Follow(Addresses({"2001:db8::1"}), 0);
  EXPECT_THAT(Sent(0, 0.5), ElementsAre("0 report ff02::1:ff00:1"));
  frames_accepted_ = SIZE_MAX;
  EXPECT_THAT(Sent(0.5, 1), ElementsAre("0 2001:db8::1")) << "the report was sent before";
  EXPECT_THAT(Sent(1, 3), ::testing::Contains("0 2001:db8::1").Times(2));
}

TEST_F(AnnouncerTest, AnnouncesInEachVlanOfThePort) {
  Make({{.vlans = {kUntagged, 20}}, {.vlans = {30}}, {.vlans = {}}});
  announcer_->Follow(Addresses({"203.0.113.1"}), 0);
  EXPECT_THAT(Sent(0, 0.5),
              ElementsAre("0 203.0.113.1", "0 vlan 20 203.0.113.1", "1 vlan 30 203.0.113.1"));
  EXPECT_THAT(Sent(0.5, 100), ::testing::SizeIs(6));
  announcer_->LinkUp(0, 100 * kSecond);
  EXPECT_THAT(Sent(100, 200), ::testing::SizeIs(6));
  announcer_->Follow({}, 200 * kSecond);
  announcer_->LinkUp(0, 200 * kSecond);
  EXPECT_THAT(Sent(200, 300), IsEmpty());
}

// The kernel reports what is untagged on its interfaces. It does not know the VLANs.
TEST_F(AnnouncerTest, ReportsGroupMembershipsInVlansOfEveryPort) {
  Make({{.vlans = {kUntagged, 20}}, {.announces = false, .vlans = {kUntagged, 30}}});
  announcer_->Follow(Addresses({"2001:db8::1"}), 0);
  EXPECT_THAT(Sent(0, 0.5),
              ElementsAre("0 2001:db8::1", "0 vlan 20 report ff02::1:ff00:1",
                          "0 vlan 20 2001:db8::1", "1 vlan 30 report ff02::1:ff00:1"));
  EXPECT_THAT(Sent(0.5, 3), ::testing::SizeIs(8));
  EXPECT_THAT(Sent(3, 23),
              ElementsAre("0 vlan 20 report ff02::1:ff00:1", "1 vlan 30 report ff02::1:ff00:1"));
}

TEST_F(AnnouncerTest, KeepsToTheRateWithReportsAndVlans) {
  std::set<IpAddress> many;
  for (int i = 1; i <= 20; ++i) {
    many.insert(IpAddress::Parse("2001:db8::" + std::to_string(i)).value());
  }
  Make({{.vlans = {20, 30}}}, 20);
  announcer_->Follow(many, 0);
  EXPECT_LE(Sent(0, 1).size(), 20U + 2);
  std::vector<std::string> sent = sent_;
  for (const std::string& frame : Sent(1, 40)) sent.push_back(frame);
  for (const std::string vlan : {"20", "30"}) {
    const std::string in_vlan = "0 vlan " + vlan + " ";
    for (int i = 1; i <= 20; ++i) {
      const std::string address = IpAddress::Parse("2001:db8::" + std::to_string(i))->ToString();
      EXPECT_THAT(sent, ::testing::Contains(in_vlan + address).Times(3));
    }
  }
}

}  // namespace
}  // namespace fairlead
