// gue with second chance: which packets carry a list of candidates, what is in it, and that the path's
// MTU has room for it.
#include "lib/encap/candidate_list.h"
#include "tests/unit/pipeline/modes.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;
using testing::Behind;
using testing::Fate;
using testing::MakeFrame;
using testing::MakePacket;
using testing::ModeRow;
using testing::ModesFixture;
using testing::Wish;

constexpr uint8_t kOther = 44;  // of the second backend's address and MAC
constexpr uint32_t kMtu = 1500;

class SecondChanceTest : public ModesFixture {
 protected:
  // 1400 bytes less an IPv6 tunnel and the longest list would be less than IPv6 demands: refused.
  void SetUp() override {
    ports_[1].mtu = kMtu;
    ModesFixture::SetUp();
  }

  // One backend at first; in the second generation it drains, and another one has all slots.
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
  void Settle(const ModeRow& row) {
    tables_.reset();
    Use(Generation(row, 1));
  }
  void Shift(const ModeRow& row) {
    Settle(row);
    Use(Generation(row, 2));
  }
  static Bytes AddressOf(const ModeRow& row, uint8_t backend) {
    return row.outer_v6 ? testing::Backend6(backend) : testing::Backend4(backend);
  }
  // The list as docs/second-chance.md has it, of generation 2.
  static Bytes List(const ModeRow& row, uint8_t backend) {
    return Bytes{0xfa, static_cast<uint8_t>(row.outer_v6 ? 0x19 : 0x11), 0, 0, 0, 0, 0, 2} +
           AddressOf(row, backend);
  }
  static uint32_t Room(const ModeRow& row) { return row.outer_v6 ? 8 + 4 * 16 : 8 + 6 * 4; }

  template <typename Check>
  void ForEach(Check check) {
    ForEachMode([&](const ModeRow& row, bool v6) {
      if (row.mode == ForwardingMode::kGue) check(row, v6);
    });
  }

  // The packet came to `backend` with `data` between the GUE header and itself.
  void ExpectData(const ModeRow& row, const Fate& fate, uint8_t backend, const Bytes& data,
                  const Bytes& inner) {
    ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
    const size_t gue = 14 + row.overhead - 4;
    EXPECT_EQ(fate.frame[5], backend);
    EXPECT_EQ(fate.frame[gue], data.size() / 4);
    ASSERT_EQ(fate.frame.size(), gue + 4 + data.size() + inner.size());
    EXPECT_EQ(slow::Slice(fate.frame, gue + 4, data.size()), data);
    EXPECT_EQ(Behind(fate.frame, gue + 4 + data.size()), inner);
    // The outer lengths count it.
    EXPECT_EQ(slow::Get16(fate.frame, gue - 4), 8 + 4 + data.size() + inner.size());
  }
};

TEST_F(SecondChanceTest, SettledSlotsPayNoBytes) {
  ForEach([&](const ModeRow& row, bool v6) {
    Settle(row);
    const Wish wish{.v6 = v6, .frontend = row.frontend, .payload = 11};
    ExpectData(row, Process(MakeFrame(wish)), row.backend, {}, MakePacket(wish));
  });
}

TEST_F(SecondChanceTest, ShiftingSlotsNameTheOtherOwner) {
  ForEach([&](const ModeRow& row, bool v6) {
    Shift(row);
    // Older than the change, for all that is known: the old owner, and the new one in the list.
    Wish wish{.v6 = v6, .frontend = row.frontend, .payload = 11};
    ExpectData(row, Process(MakeFrame(wish)), row.backend, List(row, kOther), MakePacket(wish));
    // A new one: the other way round.
    wish.flags = kTcpSyn;
    wish.client_port = 40001;
    ExpectData(row, Process(MakeFrame(wish)), kOther, List(row, row.backend), MakePacket(wish));
  });
}

TEST_F(SecondChanceTest, NobodyIsNamedWhoIsDown) {
  ForEach([&](const ModeRow& row, bool v6) {
    Shift(row);
    SnapshotInput input = Generation(row, 3);
    ServiceOf(&input, row.name).backends[0].state = BackendState::kDown;
    Use(input);
    const Wish wish{.v6 = v6, .frontend = row.frontend, .flags = kTcpSyn};
    ExpectData(row, Process(MakeFrame(wish)), kOther, {}, MakePacket(wish));
  });
}

TEST_F(SecondChanceTest, ThePathsMtuHasRoomForTheLongestListInEveryState) {
  ForEach([&](const ModeRow& row, bool v6) {
    for (const bool shifting : {false, true}) {
      if (shifting) {
        Shift(row);
      } else {
        Settle(row);
      }
      const uint32_t fits = kMtu - row.overhead - Room(row);
      const size_t headers = (v6 ? 40 : 20) + 20;
      Wish wish{.v6 = v6, .frontend = row.frontend, .payload = fits - headers};
      EXPECT_EQ(Process(MakeFrame(wish)).verdict, Verdict::kForward);
      wish.payload += 1;
      const Fate fate = Process(MakeFrame(wish));
      EXPECT_EQ(fate.verdict, Verdict::kDrop);
      EXPECT_EQ(fate.reason, DropReason::k_too_big);
      ASSERT_EQ(made_.size(), 1u);
      // RFC 1191 (next-hop MTU at 6) and RFC 4443 (MTU at 4).
      const Bytes icmp = Behind(made_[0].frame, 14 + (v6 ? 40u : 20u));
      EXPECT_EQ(v6 ? slow::Get16(icmp, 6) : slow::Get16(icmp, 6), fits);
    }
  });
}

TEST_F(SecondChanceTest, PiecesOfACutPacketCarryTheListToo) {
  ForEach([&](const ModeRow& row, bool v6) {
    if (v6) return;
    Shift(row);
    const Wish wish{.frontend = row.frontend, .payload = 2000, .fragment = 0};
    const Fate fate = Process(MakeFrame(wish));
    ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
    ASSERT_GE(made_.size(), 1u);
    const size_t gue = 14 + row.overhead - 4;
    const Bytes list = List(row, kOther);
    EXPECT_EQ(slow::Slice(fate.frame, gue + 4, list.size()), list);
    EXPECT_LE(fate.frame.size(), 14 + kMtu);
    for (const auto& made : made_) {
      EXPECT_EQ(slow::Slice(made.frame, gue + 4, list.size()), list);
      EXPECT_LE(made.frame.size(), 14 + kMtu);
    }
  });
}

// They show no ports: what slot theirs is, and who else owned it, cannot be told.
TEST_F(SecondChanceTest, LaterFragmentsNameNobody) {
  ForEach([&](const ModeRow& row, bool v6) {
    if (v6) return;
    Shift(row);
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
    // Where the burst before had a packet whose slot is shifting.
    ExpectData(row, Process(ethernet + later), row.backend, {}, later);
  });
}

}  // namespace
}  // namespace fairlead
