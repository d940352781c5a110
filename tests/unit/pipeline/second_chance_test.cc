// gue with second chance: which packets carry a list of candidates, what it contains, and that the
// path MTU leaves space for it.
#include "lib/encap/candidate_list.h"
#include "tests/unit/pipeline/modes.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;
using testing::Behind;
using testing::MakeFrame;
using testing::MakePacket;
using testing::ModeRow;
using testing::ModesFixture;
using testing::PacketResult;
using testing::TestPacketFields;

constexpr uint8_t kOther = 44;  // of the second backend's address and MAC
constexpr uint32_t kLanMtu = 1500;

class SecondChanceTest : public ModesFixture {
 protected:
  // An MTU of 1400 less an IPv6 tunnel and the longest list is below IPv6's minimum: refused.
  void SetUp() override {
    ports_[1].mtu = kLanMtu;
    ModesFixture::SetUp();
  }

  // Generation 1: one backend owns all slots. Generation 2: it drains, and another one owns them.
  SnapshotInput Generation(const ModeRow& row, uint64_t generation) {
    SnapshotInput input = Input();
    input.generation = generation;
    SnapshotService& service = ServiceOf(&input, row.name);
    service.flags = kServiceSecondChance;
    service.tracking_tcp = Tracking::kAdaptive;
    service.tracking_udp = Tracking::kAdaptive;
    const std::string other = row.outer_v6 ? "2001:db8:a::2c" : "10.0.0.44";
    service.backends.push_back(ResolvedAt(other, 1000, kOther));
    service.backends[generation == 1 ? 1 : 0].state = BackendState::kDraining;
    return input;
  }
  void UseSettledSlots(const ModeRow& row) {
    tables_.reset();
    Use(Generation(row, 1));
  }
  void UseShiftingSlots(const ModeRow& row) {
    UseSettledSlots(row);
    Use(Generation(row, 2));
  }
  static Bytes AddressOf(const ModeRow& row, uint8_t backend) {
    return row.outer_v6 ? testing::Backend6(backend) : testing::Backend4(backend);
  }
  // The expected list of generation 2 (format: docs/second-chance.md).
  static Bytes List(const ModeRow& row, uint8_t backend) {
    return Bytes{0xfa, static_cast<uint8_t>(row.outer_v6 ? 0x19 : 0x11), 0, 0, 0, 0, 0, 2} +
           AddressOf(row, backend);
  }
  static uint32_t LongestListBytes(const ModeRow& row) {
    return row.outer_v6 ? 8 + 4 * 16 : 8 + 6 * 4;
  }

  template <typename Check>
  void ForEach(Check check) {
    ForEachMode([&](const ModeRow& row, bool v6) {
      if (row.mode == ForwardingMode::kGue) check(row, v6);
    });
  }

  // Checks that the packet went to `backend`, with `data` behind the GUE header.
  void ExpectData(const ModeRow& row, const PacketResult& fate, uint8_t backend, const Bytes& data,
                  const Bytes& inner) {
    ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
    const size_t gue = 14 + row.overhead - 4;
    EXPECT_EQ(fate.frame[5], backend);
    EXPECT_EQ(fate.frame[gue], data.size() / 4);
    ASSERT_EQ(fate.frame.size(), gue + 4 + data.size() + inner.size());
    EXPECT_EQ(slow::Slice(fate.frame, gue + 4, data.size()), data);
    EXPECT_EQ(Behind(fate.frame, gue + 4 + data.size()), inner);
    // The outer UDP length includes the list.
    EXPECT_EQ(slow::Get16(fate.frame, gue - 4), 8 + 4 + data.size() + inner.size());
  }
};

TEST_F(SecondChanceTest, PacketsOfSettledSlotsCarryNoList) {
  ForEach([&](const ModeRow& row, bool v6) {
    UseSettledSlots(row);
    const TestPacketFields wish{.v6 = v6, .frontend = row.frontend, .payload = 11};
    ExpectData(row, Process(MakeFrame(wish)), row.backend, {}, MakePacket(wish));
  });
}

TEST_F(SecondChanceTest, PacketsOfShiftingSlotsListTheOtherOwner) {
  ForEach([&](const ModeRow& row, bool v6) {
    UseShiftingSlots(row);
    // This flow may be older than the change. It gets the stable owner; the list has the current.
    TestPacketFields wish{.v6 = v6, .frontend = row.frontend, .payload = 11};
    ExpectData(row, Process(MakeFrame(wish)), row.backend, List(row, kOther), MakePacket(wish));
    // A new flow: the reverse.
    wish.flags = kTcpSyn;
    wish.client_port = 40001;
    ExpectData(row, Process(MakeFrame(wish)), kOther, List(row, row.backend), MakePacket(wish));
  });
}

TEST_F(SecondChanceTest, DownBackendsAreNotListed) {
  ForEach([&](const ModeRow& row, bool v6) {
    UseShiftingSlots(row);
    SnapshotInput input = Generation(row, 3);
    ServiceOf(&input, row.name).backends[0].state = BackendState::kDown;
    Use(input);
    const TestPacketFields wish{.v6 = v6, .frontend = row.frontend, .flags = kTcpSyn};
    ExpectData(row, Process(MakeFrame(wish)), kOther, {}, MakePacket(wish));
  });
}

TEST_F(SecondChanceTest, ThePathMtuLeavesSpaceForTheLongestListInEveryState) {
  ForEach([&](const ModeRow& row, bool v6) {
    for (const bool shifting : {false, true}) {
      if (shifting) {
        UseShiftingSlots(row);
      } else {
        UseSettledSlots(row);
      }
      const uint32_t fits = kLanMtu - row.overhead - LongestListBytes(row);
      const size_t headers = (v6 ? 40 : 20) + 20;
      TestPacketFields wish{.v6 = v6, .frontend = row.frontend, .payload = fits - headers};
      EXPECT_EQ(Process(MakeFrame(wish)).verdict, Verdict::kForward);
      wish.payload += 1;
      const PacketResult fate = Process(MakeFrame(wish));
      EXPECT_EQ(fate.verdict, Verdict::kDrop);
      EXPECT_EQ(fate.reason, DropReason::k_too_big);
      ASSERT_EQ(made_.size(), 1u);
      // RFC 1191: 16-bit MTU at 6. RFC 4443: 32-bit MTU at 4, so its lower half is at 6 too.
      const Bytes icmp = Behind(made_[0].frame, 14 + (v6 ? 40u : 20u));
      EXPECT_EQ(v6 ? slow::Get16(icmp, 6) : slow::Get16(icmp, 6), fits);
    }
  });
}

TEST_F(SecondChanceTest, PiecesOfACutPacketCarryTheListToo) {
  ForEach([&](const ModeRow& row, bool v6) {
    if (v6) return;
    UseShiftingSlots(row);
    const TestPacketFields wish{.frontend = row.frontend, .payload = 2000, .fragment = 0};
    const PacketResult fate = Process(MakeFrame(wish));
    ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
    ASSERT_GE(made_.size(), 1u);
    const size_t gue = 14 + row.overhead - 4;
    const Bytes list = List(row, kOther);
    EXPECT_EQ(slow::Slice(fate.frame, gue + 4, list.size()), list);
    EXPECT_LE(fate.frame.size(), 14 + kLanMtu);
    for (const auto& made : made_) {
      EXPECT_EQ(slow::Slice(made.frame, gue + 4, list.size()), list);
      EXPECT_LE(made.frame.size(), 14 + kLanMtu);
    }
  });
}

// Later fragments have no ports, so their slot and its other owners are unknown.
TEST_F(SecondChanceTest, LaterFragmentsCarryNoList) {
  ForEach([&](const ModeRow& row, bool v6) {
    if (v6) return;
    UseShiftingSlots(row);
    const Bytes to = testing::Frontend4(row.frontend);
    const auto fragment = [&](size_t offset, bool more) {
      const Bytes datagram = slow::MakeUdp(testing::kClient4, to, slow::Payload(100), 40000, 80);
      const size_t field = offset / 8 | (more ? uint32_t{kIpv4MoreFragments} : 0);
      return slow::MakeIp4({.source = testing::kClient4,
                            .destination = to,
                            .protocol = kIpProtoUdp,
                            .id = 7,
                            .flags_fragment = static_cast<uint16_t>(field)},
                           more ? slow::Slice(datagram, 0, 64) : Behind(datagram, 64));
    };
    const Bytes first = fragment(0, true);
    const Bytes later = fragment(64, false);
    const Bytes ethernet = slow::Ethernet(kEtherTypeIpv4);
    ExpectData(row, Process(ethernet + first), row.backend, List(row, kOther), first);
    // The burst before had a packet of a shifting slot at this position.
    ExpectData(row, Process(ethernet + later), row.backend, {}, later);
  });
}

}  // namespace
}  // namespace fairlead
