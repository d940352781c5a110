// All fragments of a datagram go where its first fragment goes, in whatever order they come.
#include "tests/unit/pipeline/modes.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;
using testing::Backend4;
using testing::Backend6;
using testing::Behind;
using testing::Frontend4;
using testing::Frontend6;
using testing::kClient4;
using testing::kClient6;
using testing::kModeRows;
using testing::ModeRow;
using testing::ModesFixture;
using testing::PacketResult;

constexpr size_t kPart = 800;  // bytes of each fragment but the last

// A UDP datagram in three fragments, as Ethernet frames in order.
std::vector<Bytes> Fragments(bool v6, const Bytes& source, const Bytes& destination, uint32_t id,
                             uint16_t source_port = 40000, uint16_t destination_port = 80,
                             uint8_t ttl = 64) {
  const Bytes datagram = slow::MakeUdp(source, destination, slow::Payload(2 * kPart + 100),
                                       source_port, destination_port);
  std::vector<Bytes> frames;
  for (size_t at = 0; at < datagram.size(); at += kPart) {
    const Bytes part = slow::Slice(datagram, at, std::min(kPart, datagram.size() - at));
    const bool more = at + kPart < datagram.size();
    if (v6) {
      Bytes header = {17, 0, 0, 0, 0, 0, 0, 0};
      slow::Put16(&header, 2, static_cast<uint32_t>(at | (more ? 1 : 0)));
      slow::Put16(&header, 6, id);
      frames.push_back(slow::Ethernet(kEtherTypeIpv6) +
                       slow::MakeIp6({.source = source,
                                      .destination = destination,
                                      .next_header = kIpProtoFragment,
                                      .hop_limit = ttl},
                                     header + part));
    } else {
      const size_t field = at / 8 | (more ? uint32_t{kIpv4MoreFragments} : 0);
      frames.push_back(slow::Ethernet(kEtherTypeIpv4) +
                       slow::MakeIp4({.source = source,
                                      .destination = destination,
                                      .protocol = 17,
                                      .ttl = ttl,
                                      .id = static_cast<uint16_t>(id),
                                      .flags_fragment = static_cast<uint16_t>(field)},
                                     part));
    }
  }
  return frames;
}

class FragmentsTest : public ModesFixture {
 protected:
  std::vector<Bytes> ToFrontend(const ModeRow& row, bool v6, uint32_t id,
                                uint16_t client_port = 40000) {
    return v6 ? Fragments(true, kClient6, testing::Frontend6(row.frontend), id, client_port)
              : Fragments(false, kClient4, testing::Frontend4(row.frontend), id, client_port);
  }

  template <typename Check>
  void ForEach(Check check) {
    uint32_t id = 100;
    ForEachMode([&](const ModeRow& row, bool v6) { check(row, v6, ++id); });
  }

  // Checks that the inner packet equals `frame`'s, except for what the mode changes.
  void ExpectPassed(const ModeRow& row, bool v6, const PacketResult& fate, const Bytes& frame) {
    ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
    EXPECT_EQ(fate.frame[5], row.backend);
    const Bytes inner = Behind(fate.frame, 14 + row.overhead);
    if (row.overhead != 0) {
      EXPECT_EQ(inner, Behind(frame, 14));
      return;
    }
    const size_t payload = v6 ? 48 : 20;
    EXPECT_EQ(inner[v6 ? 7 : 8], 63);
    if (!v6) {
      EXPECT_EQ(slow::Sum(slow::Slice(inner, 0, 20)), 0xffff);
    }
    const Bytes destination = slow::Slice(inner, v6 ? 24 : 16, v6 ? 16 : 4);
    if (row.mode == ForwardingMode::kNat) {
      EXPECT_EQ(destination, v6 ? Backend6(row.backend) : Backend4(row.backend));
    } else {
      EXPECT_EQ(destination, slow::Slice(frame, v6 ? 38 : 30, v6 ? 16 : 4));
    }
    EXPECT_EQ(Behind(inner, payload + 8), Behind(frame, 14 + payload + 8));
  }

  // GUE's source port, which all fragments share.
  static uint16_t OuterPort(const ModeRow& row, const PacketResult& fate) {
    return slow::Get16(fate.frame, 14 + row.overhead - 12);
  }
};

TEST_F(FragmentsTest, FollowTheFirstFragment) {
  ForEach([&](const ModeRow& row, bool v6, uint32_t id) {
    std::vector<PacketResult> fates;
    const std::vector<Bytes> frames = ToFrontend(row, v6, id);
    for (const Bytes& frame : frames) {
      fates.push_back(Process(frame));
      ExpectPassed(row, v6, fates.back(), frame);
    }
    if (row.mode != ForwardingMode::kGue) return;
    EXPECT_EQ(OuterPort(row, fates[1]), OuterPort(row, fates[0]));
    EXPECT_EQ(OuterPort(row, fates[2]), OuterPort(row, fates[0]));
  });
  EXPECT_TRUE(fragments_.empty());
}

TEST_F(FragmentsTest, WaitForTheFirstFragment) {
  ForEach([&](const ModeRow& row, bool v6, uint32_t id) {
    const std::vector<Bytes> frames = ToFrontend(row, v6, id);
    EXPECT_EQ(Process(frames[2]).verdict, Verdict::kHeld);
    EXPECT_EQ(Process(frames[1]).verdict, Verdict::kHeld);
    EXPECT_TRUE(Release().empty());
    ExpectPassed(row, v6, Process(frames[0]), frames[0]);
    const std::vector<PacketResult> released = Release();
    ASSERT_EQ(released.size(), 2u);
    ExpectPassed(row, v6, released[0], frames[2]);
    ExpectPassed(row, v6, released[1], frames[1]);
  });
  EXPECT_TRUE(fragments_.empty());
  EXPECT_EQ(counters_.totals.rx_packets, 3u * 12);  // each fragment counts once
}

TEST_F(FragmentsTest, FollowAFirstFragmentThatIsLaterInTheSameBurst) {
  const std::vector<Bytes> frames = ToFrontend(kModeRows[3], false, 7);
  std::vector<testing::Buffer> buffers;
  for (const size_t i : {2U, 0U, 1U}) buffers.emplace_back(frames[i]);
  const std::vector<PacketResult> fates = Process(buffers);
  // The first fragment's decision is recorded before its burst's later fragments are looked up.
  ExpectPassed(kModeRows[3], false, fates[0], frames[2]);
  ExpectPassed(kModeRows[3], false, fates[1], frames[0]);
  ExpectPassed(kModeRows[3], false, fates[2], frames[1]);
}

TEST_F(FragmentsTest, AreDroppedIfTheFirstFragmentDoesNotCome) {
  const std::vector<Bytes> frames = ToFrontend(kModeRows[0], false, 7);
  EXPECT_EQ(Process(frames[1]).verdict, Verdict::kHeld);
  context_.now_tick += FragmentStoreSettings().wait_ticks;
  const std::vector<PacketResult> fates = Release();
  ASSERT_EQ(fates.size(), 1u);
  EXPECT_EQ(fates[0].reason, DropReason::k_fragment_timeout);
  EXPECT_EQ(held_, 0u);
}

TEST_F(FragmentsTest, AreDroppedAtExit) {
  Process(ToFrontend(kModeRows[0], false, 7)[1]);
  Process(ToFrontend(kModeRows[0], true, 7)[2]);
  const std::vector<PacketResult> fates = Release(true);
  ASSERT_EQ(fates.size(), 2u);
  for (const PacketResult& fate : fates) EXPECT_EQ(fate.reason, DropReason::k_fragment_timeout);
  EXPECT_TRUE(fragments_.empty());
}

TEST_F(FragmentsTest, FollowTheEarlierOfTwoFirstFragments) {
  // Four backends, so that other ports usually select another backend.
  SnapshotInput input = Input();
  for (int n = 11; n < 14; ++n) {
    ServiceOf(&input, "dsr").backends.push_back(Resolved(static_cast<uint32_t>(n), n));
  }
  Use(input);
  for (uint16_t port = 1000; port < 1020; ++port) {
    const std::vector<Bytes> frames = ToFrontend(kModeRows[0], false, port, port);
    const uint8_t first = Process(frames[0]).frame[5];
    // A second first fragment of the datagram, with other ports, changes nothing.
    EXPECT_EQ(Process(ToFrontend(kModeRows[0], false, port, 7)[0]).frame[5], first);
    EXPECT_EQ(Process(frames[1]).frame[5], first);
    EXPECT_EQ(Process(frames[2]).frame[5], first);
  }
}

TEST_F(FragmentsTest, AreDroppedIfTheirBackendGoesDown) {
  const std::vector<Bytes> frames = ToFrontend(kModeRows[0], false, 7);
  Process(frames[0]);
  SnapshotInput input = Input();
  ServiceOf(&input, "dsr").backends[0].state = BackendState::kDown;
  Use(input);
  EXPECT_EQ(Process(frames[1]).reason, DropReason::k_no_backend);
}

TEST_F(FragmentsTest, AreCountedAsDropsOfTheirServiceIfTheirBackendIsDown) {
  SnapshotInput input = Input();
  ServiceOf(&input, "dsr").backends.push_back(Resolved(11, 11));
  Use(input);
  const Bytes first = ToFrontend(kModeRows[0], false, 7)[0];
  const uint8_t chosen = Process(first).frame[5];
  for (SnapshotBackend& backend : ServiceOf(&input, "dsr").backends) {
    if (backend.next_hop->mac.bytes[5] == chosen) backend.state = BackendState::kDown;
  }
  Use(input);
  // The datagram's decision stays, although the flow now has another backend.
  EXPECT_EQ(Process(first).reason, DropReason::k_no_backend);
  EXPECT_EQ(CountersOf("dsr").drops, 1u);
}

TEST_F(FragmentsTest, AreDroppedAtTtl1IfTheModeDecrementsIt) {
  for (const ModeRow& row : {kModeRows[0], kModeRows[1], kModeRows[5]}) {
    SCOPED_TRACE(row.name);
    Process(ToFrontend(row, false, row.frontend)[0]);
    const Bytes later =
        Fragments(false, kClient4, testing::Frontend4(row.frontend), row.frontend, 40000, 80, 1)[1];
    const PacketResult fate = Process(later);
    if (row.overhead != 0) {
      EXPECT_EQ(fate.verdict, Verdict::kForward);
    } else {
      EXPECT_EQ(fate.reason, DropReason::k_ttl_expired);
      EXPECT_TRUE(made_.empty());  // no ICMP error about a later fragment
    }
  }
}

TEST_F(FragmentsTest, AFloodIsBoundedAndDoesNotAffectOtherPackets) {
  const uint32_t most = FragmentStoreSettings().max_waiting;
  for (uint32_t id = 0; id < 3 * most; ++id) {
    Process(ToFrontend(kModeRows[0], false, id)[1]);
    EXPECT_LE(fragments_.waiting(), most);
    Release();
  }
  EXPECT_GT(Drops(DropReason::k_fragment_evicted), 0u);
  EXPECT_EQ(Process(testing::MakeFrame({.frontend = 10})).verdict, Verdict::kForward);
  EXPECT_EQ(held_, fragments_.waiting());
}

TEST_F(FragmentsTest, AreDroppedBeyondTheLimitOfADatagram) {
  const Bytes later = ToFrontend(kModeRows[0], false, 7)[1];
  for (uint32_t n = 0; n < FragmentStoreSettings().max_per_datagram; ++n) {
    EXPECT_EQ(Process(later).verdict, Verdict::kHeld);
  }
  EXPECT_EQ(Process(later).reason, DropReason::k_fragment_evicted);
}

// Fragmented replies of nat backends. Only the first fragment has the port.
class ReplyFragmentsTest : public FragmentsTest {
 protected:
  static std::vector<Bytes> FromBackend(bool v6, uint32_t id, uint16_t port = 8080) {
    return v6 ? Fragments(true, Backend6(7), kClient6, id, port, 40000)
              : Fragments(false, Backend4(6), kClient4, id, port, 40000);
  }
  static void ExpectFromFrontend(bool v6, const PacketResult& fate, const Bytes& frame) {
    ASSERT_EQ(fate.verdict, Verdict::kForward) << DropReasonName(fate.reason);
    EXPECT_EQ(slow::Slice(fate.frame, 0, 6), (Bytes{2, 0, 0, 0, 0, 0xfe}));
    EXPECT_EQ(slow::Slice(fate.frame, v6 ? 22 : 26, v6 ? 16 : 4),
              v6 ? Frontend6(25) : Frontend4(24));
    const size_t udp_end = (v6 ? 62 : 34) + 8;
    EXPECT_EQ(Behind(fate.frame, udp_end), Behind(frame, udp_end));
  }
};

TEST_F(ReplyFragmentsTest, AreTranslatedInOrderAndOutOfOrder) {
  for (const bool v6 : {false, true}) {
    const std::vector<Bytes> frames = FromBackend(v6, 50);
    for (const Bytes& frame : frames) ExpectFromFrontend(v6, Process(frame), frame);
    const std::vector<Bytes> late = FromBackend(v6, 51);
    EXPECT_EQ(Process(late[1]).verdict, Verdict::kHeld);
    ExpectFromFrontend(v6, Process(late[0]), late[0]);
    const std::vector<PacketResult> released = Release();
    ASSERT_EQ(released.size(), 1u);
    ExpectFromFrontend(v6, released[0], late[1]);
  }
}

TEST_F(ReplyFragmentsTest, FromOtherPortsGoToTheKernel) {
  const std::vector<Bytes> frames = FromBackend(false, 60, 5353);
  for (const Bytes& frame : frames) EXPECT_EQ(Process(frame).verdict, Verdict::kToKernel);
  // So do fragments whose first fragment does not come.
  EXPECT_EQ(Process(FromBackend(false, 61)[1]).verdict, Verdict::kHeld);
  const std::vector<PacketResult> fates = Release(true);
  ASSERT_EQ(fates.size(), 1u);
  EXPECT_EQ(fates[0].verdict, Verdict::kToKernel);
}

// The datagram may not belong to a nat service, so it must not be dropped.
TEST_F(ReplyFragmentsTest, GoToTheKernelBeyondTheLimitOfADatagram) {
  const Bytes later = FromBackend(false, 62)[1];
  for (uint32_t n = 0; n < FragmentStoreSettings().max_per_datagram; ++n) {
    EXPECT_EQ(Process(later).verdict, Verdict::kHeld);
  }
  EXPECT_EQ(Process(later).verdict, Verdict::kToKernel);
  EXPECT_EQ(Drops(DropReason::k_fragment_evicted), 0u);
}

}  // namespace
}  // namespace fairlead
