// Packets larger than the egress MTU are cut, or the sender gets an ICMP error with the exact MTU.
// The sender of a packet whose TTL expires gets an ICMP error too.
#include <algorithm>

#include "tests/unit/pipeline/modes.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;
using testing::Behind;
using testing::Buffer;
using testing::kClient4;
using testing::kClient6;
using testing::kModeRows;
using testing::Made;
using testing::MakeFrame;
using testing::MakePacket;
using testing::ModeRow;
using testing::ModesFixture;
using testing::PacketResult;
using testing::TestPacketFields;

constexpr uint32_t kMtu = 1500;

// The payload of a TCP packet whose IP packet has `total` bytes.
size_t PayloadFor(bool v6, uint32_t total) { return total - (v6 ? 60 : 40); }

class MtuTest : public ModesFixture {
 protected:
  // Checks that the only made frame is an ICMP error about `cause`. `mtu`: 0 if the type has none.
  void ExpectIcmpError(const Bytes& cause, bool v6, uint8_t type, uint8_t code, uint32_t mtu) {
    ASSERT_EQ(made_.size(), 1u);
    const Bytes& frame = made_[0].frame;
    EXPECT_EQ(made_[0].egress_port, 0);
    EXPECT_EQ(slow::Slice(frame, 0, 12), (Bytes{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}));
    const size_t headers = v6 ? 48 : 28;
    const size_t max_quoted_bytes = (v6 ? 1280 : 576) - headers;
    const Bytes quoted = slow::Slice(cause, 14, std::min(max_quoted_bytes, cause.size() - 14));
    const Bytes expected =
        v6 ? slow::MakeIp6({.source = testing::kWan6, .destination = kClient6, .next_header = 58},
                           slow::MakeIcmp6(testing::kWan6, kClient6, type, code, mtu, quoted))
           : slow::MakeIp4({.source = testing::kWan4,
                            .destination = kClient4,
                            .protocol = 1,
                            .tos = 0xc0,
                            .id = 0},
                           slow::MakeIcmp4(type, code, mtu, quoted));
    EXPECT_EQ(Behind(frame, 14), expected);
  }
};

TEST_F(MtuTest, SendsTheMtuLessTheExactOverhead) {
  ForEachMode([&](const ModeRow& row, bool v6) {
    const uint32_t fits = kMtu - row.overhead;
    const Bytes largest =
        MakeFrame({.v6 = v6, .frontend = row.frontend, .payload = PayloadFor(v6, fits)});
    EXPECT_EQ(Process(largest).verdict, Verdict::kForward);
    EXPECT_TRUE(made_.empty());
    const Bytes larger =
        MakeFrame({.v6 = v6, .frontend = row.frontend, .payload = PayloadFor(v6, fits + 1)});
    EXPECT_EQ(Process(larger).reason, DropReason::k_too_big);
    ExpectIcmpError(larger, v6, v6 ? 2 : 3, v6 ? 0 : 4, fits);
  });
}

TEST_F(MtuTest, SendsTheMtuForAPacketOfSeveralSegmentsToo) {
  const Bytes larger = MakeFrame({.frontend = 22, .payload = PayloadFor(false, 1469)});
  std::vector<Buffer> buffers = {Buffer::Split(larger, kMaxHeaderBytes)};
  EXPECT_EQ(Process(buffers)[0].reason, DropReason::k_too_big);
  ExpectIcmpError(larger, false, 3, 4, 1468);
  const Bytes larger6 = MakeFrame({.v6 = true, .frontend = 22, .payload = PayloadFor(true, 1469)});
  buffers = {Buffer::Split(larger6, kMaxHeaderBytes)};
  EXPECT_EQ(Process(buffers)[0].reason, DropReason::k_too_big);
  ExpectIcmpError(larger6, true, 2, 0, 1468);
}

TEST_F(MtuTest, SendsTimeExceededInModesThatDecrementTheTtl) {
  ForEachMode([&](const ModeRow& row, bool v6) {
    const Bytes frame = MakeFrame({.v6 = v6, .frontend = row.frontend, .ttl = 1});
    const PacketResult fate = Process(frame);
    if (row.overhead != 0) {
      EXPECT_EQ(fate.verdict, Verdict::kForward);
      EXPECT_TRUE(made_.empty());
      return;
    }
    EXPECT_EQ(fate.reason, DropReason::k_ttl_expired);
    ExpectIcmpError(frame, v6, v6 ? 3 : 11, 0, 0);
  });
}

TEST_F(MtuTest, SendsErrorsFromTheFrontendIfThePortHasNoAddress) {
  views_[0].address_v4.reset();
  Process(MakeFrame({.frontend = 10, .ttl = 1}));
  ASSERT_EQ(made_.size(), 1u);
  EXPECT_EQ(slow::Slice(made_[0].frame, 26, 4), testing::Frontend4(10));
}

TEST_F(MtuTest, LimitsTheRateOfIcmpErrors) {
  context_.icmp_errors = TokenBucket(10, 2);
  const Bytes frame = MakeFrame({.frontend = 10, .ttl = 1});
  const Bytes big = MakeFrame({.frontend = 10, .payload = 1461});
  for (const size_t expected : {1u, 1u, 0u}) {
    EXPECT_EQ(Process(expected == 0 ? big : frame).verdict, Verdict::kDrop);
    EXPECT_EQ(made_.size(), expected);
  }
  context_.now_us += 100'000;
  Process(big);
  EXPECT_EQ(made_.size(), 1u);
  EXPECT_EQ(counters_.totals.generated, 3u);
}

TEST_F(MtuTest, SendsNoErrorWithoutABuffer) {
  buffers_.left = 0;
  EXPECT_EQ(Process(MakeFrame({.frontend = 10, .ttl = 1})).reason, DropReason::k_ttl_expired);
  EXPECT_TRUE(made_.empty());
  EXPECT_EQ(counters_.totals.generated, 0u);
}

// Reassembles the pieces of an IPv4 packet (without outer headers), and checks each piece's header.
Bytes Reassemble(const std::vector<Bytes>& pieces, uint32_t mtu) {
  Bytes whole = slow::Slice(pieces.at(0), 0, 20);
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Bytes& piece = pieces[i];
    EXPECT_LE(piece.size(), mtu);
    EXPECT_EQ(slow::Get16(piece, 2), piece.size());
    EXPECT_EQ(slow::Sum(slow::Slice(piece, 0, 20)), 0xffff);
    const uint16_t field = slow::Get16(piece, 6);
    EXPECT_EQ((field & 0x1fff) * 8u, whole.size() - 20);
    EXPECT_EQ((field & kIpv4MoreFragments) != 0, i + 1 < pieces.size());
    whole = whole + Behind(piece, 20);
  }
  slow::Put16(&whole, 2, static_cast<uint32_t>(whole.size()));
  slow::Put16(&whole, 6, 0);
  slow::Put16(&whole, 10, 0);
  slow::Put16(&whole, 10, static_cast<uint16_t>(~slow::Sum(slow::Slice(whole, 0, 20))));
  return whole;
}

class CutTest : public MtuTest {
 protected:
  // The packet's pieces without Ethernet and outer headers.
  std::vector<Bytes> Pieces(const PacketResult& fate, const ModeRow& row) {
    std::vector<Bytes> pieces = {Behind(fate.frame, 14 + row.overhead)};
    for (const Made& made : made_) {
      EXPECT_EQ(made.egress_port, fate.egress_port);
      EXPECT_EQ(slow::Slice(made.frame, 0, 14), slow::Slice(fate.frame, 0, 14));
      pieces.push_back(Behind(made.frame, 14 + row.overhead));
      if (row.mode == ForwardingMode::kGue) {
        // All pieces have the same entropy: the source port and, over IPv6, the flow label.
        const size_t port = 14 + row.overhead - 12;
        EXPECT_EQ(slow::Get16(made.frame, port), slow::Get16(fate.frame, port));
      }
    }
    return pieces;
  }

  // The client's packet as it would be forwarded uncut.
  Bytes Whole(const ModeRow& row, const TestPacketFields& wish) {
    TestPacketFields alone = wish;
    if (row.overhead == 0) alone.ttl = static_cast<uint8_t>(wish.ttl - 1);
    if (row.mode != ForwardingMode::kNat) return MakePacket(alone);
    return slow::MakeIp4({.source = kClient4,
                          .destination = testing::Backend4(row.backend),
                          .protocol = wish.protocol,
                          .ttl = alone.ttl,
                          .flags_fragment = 0},
                         slow::MakeUdp(kClient4, testing::Backend4(row.backend),
                                       slow::Payload(wish.payload), wish.client_port, 8080));
  }
};

TEST_F(CutTest, CutsIpv4WithoutDfSoThatEveryPieceFits) {
  for (const ModeRow& row : kModeRows) {
    if (FamiliesOf(row).front()) continue;  // nat6
    SCOPED_TRACE(row.name);
    for (const size_t payload : {1473U, 2953U, 8000U}) {
      const TestPacketFields wish{
          .frontend = row.frontend, .protocol = kIpProtoUdp, .payload = payload, .fragment = 0};
      for (const bool split : {false, true}) {
        std::vector<Buffer> buffers;
        if (split) {
          buffers.push_back(Buffer::Split(MakeFrame(wish), kMaxHeaderBytes));
        } else {
          buffers.emplace_back(MakeFrame(wish));
        }
        const uint64_t before = counters_.totals.generated;
        const PacketResult fate = Process(buffers)[0];
        ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
        EXPECT_GE(made_.size(), (payload + 28) / (kMtu - row.overhead));
        EXPECT_EQ(counters_.totals.generated - before, made_.size());
        EXPECT_EQ(Reassemble(Pieces(fate, row), kMtu - row.overhead), Whole(row, wish));
      }
    }
  }
}

TEST_F(CutTest, DropsInsteadOfCuttingIfConfigured) {
  SnapshotInput input = Input();
  for (SnapshotService& service : input.services) service.flags = kServiceDropTooBig;
  Use(input);
  const Bytes frame =
      MakeFrame({.frontend = 10, .protocol = kIpProtoUdp, .payload = 1473, .fragment = 0});
  EXPECT_EQ(Process(frame).reason, DropReason::k_too_big);
  EXPECT_TRUE(made_.empty());  // "fragmentation needed and DF set" would not be true
  const Bytes with_df = MakeFrame({.frontend = 10, .protocol = kIpProtoUdp, .payload = 1473});
  EXPECT_EQ(Process(with_df).reason, DropReason::k_too_big);
  ExpectIcmpError(with_df, false, 3, 4, 1500);
}

TEST_F(CutTest, DropsThePacketAndFreesItsBuffersIfBuffersRunOut) {
  const Bytes frame =
      MakeFrame({.frontend = 22, .protocol = kIpProtoUdp, .payload = 8000, .fragment = 0});
  buffers_.left = 4;  // one short
  EXPECT_EQ(Process(frame).reason, DropReason::k_no_buffer);
  EXPECT_TRUE(made_.empty());
  EXPECT_EQ(buffers_.left, 4u);
  buffers_.left = 5;
  EXPECT_EQ(Process(frame).verdict, Verdict::kForward);
}

TEST_F(CutTest, DropsPacketsOnceABurstHasMadeTooManyPieces) {
  const Bytes frame =
      MakeFrame({.frontend = 10, .protocol = kIpProtoUdp, .payload = 15000, .fragment = 0});
  std::vector<Buffer> buffers;
  for (uint32_t i = 0; i < kMaxBurst; ++i) buffers.emplace_back(frame);
  uint32_t cut = 0;
  for (const PacketResult& fate : Process(buffers)) {
    if (fate.verdict == Verdict::kForward) {
      ++cut;
    } else {
      EXPECT_EQ(fate.reason, DropReason::k_no_buffer);
    }
  }
  EXPECT_EQ(cut, kMaxMade / 10);  // eleven pieces each
  EXPECT_EQ(made_.size(), cut * 10);
}

TEST_F(CutTest, CutsFragmentsAgain) {
  // The packet is a first fragment, so its last piece still has the more-fragments flag.
  const TestPacketFields wish{
      .frontend = 20, .protocol = kIpProtoUdp, .payload = 1472, .fragment = kIpv4MoreFragments};
  const PacketResult fate = Process(MakeFrame(wish));
  ASSERT_EQ(fate.verdict, Verdict::kForward);
  ASSERT_EQ(made_.size(), 1u);
  const Bytes last = Behind(made_[0].frame, 14 + 20);
  EXPECT_EQ(slow::Get16(last, 6), kIpv4MoreFragments | 1456 / 8);
  EXPECT_EQ(Behind(last, 20), Behind(MakePacket(wish), 20 + 1456));
}

}  // namespace
}  // namespace fairlead
