#include "lib/net/fragment_cut.h"

#include <cstdint>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;
using slow::operator+;

struct Pieces {
  DropReason verdict;
  std::vector<Bytes> packets;
};

// Cuts as a caller does: header from WriteHeader, payload copied.
Pieces Cut(const Bytes& packet, uint32_t mtu) {
  FragmentCut cut;
  Pieces pieces{cut.Plan(packet.data(), mtu), {}};
  if (pieces.verdict != DropReason::kNone) return pieces;
  const size_t header_length = (packet[0] & 15U) * 4U;
  for (uint32_t i = 0; i < cut.count(); ++i) {
    const FragmentPiece part = cut.piece(i);
    Bytes header(part.header_length);
    cut.WriteHeader(i, header.data());
    pieces.packets.push_back(
        header + slow::Slice(packet, header_length + part.payload_begin, part.payload_length));
  }
  return pieces;
}

// Reassembles as RFC 791 says, independently of FragmentCut.
Bytes Reassemble(const std::vector<Bytes>& pieces, bool* more) {
  Bytes payload;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Bytes& piece = pieces[i];
    const size_t header = (piece[0] & 15U) * 4U;
    EXPECT_EQ(slow::Get16(piece, 2), piece.size());
    EXPECT_EQ(slow::Sum(slow::Slice(piece, 0, header)), 0xffff);
    const uint32_t base = (slow::Get16(pieces[0], 6) & 0x1fffU) * 8U;
    EXPECT_EQ((slow::Get16(piece, 6) & 0x1fffU) * 8U - base, payload.size());
    *more = (slow::Get16(piece, 6) & 0x2000U) != 0;
    if (i + 1 < pieces.size()) {
      EXPECT_TRUE(*more);
      EXPECT_EQ((piece.size() - header) % 8, 0U);
    }
    payload = payload + slow::Slice(piece, header, piece.size() - header);
  }
  return payload;
}

TEST(FragmentCut, CutsTheWorkedExampleOfTheHeader) {
  const Bytes packet = slow::MakeIp4({}, slow::Payload(1480));
  const Pieces pieces = Cut(packet, 1000);
  ASSERT_EQ(pieces.packets.size(), 2U);
  EXPECT_EQ(pieces.packets[0], slow::MakeIp4({.flags_fragment = 0x2000}, slow::Payload(976)));
  EXPECT_EQ(pieces.packets[1],
            slow::MakeIp4({.flags_fragment = 122}, slow::Slice(slow::Payload(1480), 976, 504)));
}

TEST(FragmentCut, APacketThatFitsStaysWhole) {
  const Bytes packet = slow::MakeIp4({.flags_fragment = 0x4000}, slow::Payload(980));
  EXPECT_EQ(Cut(packet, 1000).packets, std::vector<Bytes>{packet});
}

TEST(FragmentCut, RefusesAPacketWithDontFragment) {
  const Bytes packet = slow::MakeIp4({.flags_fragment = 0x4000}, slow::Payload(981));
  EXPECT_EQ(Cut(packet, 1000).verdict, DropReason::k_too_big);
}

TEST(FragmentCut, RefusesIfNoPayloadFitsOrTooManyPiecesResult) {
  const Bytes options(40, 1);
  EXPECT_EQ(Cut(slow::MakeIp4({.options = options}, slow::Payload(100)), 67).verdict,
            DropReason::k_too_big);
  EXPECT_EQ(Cut(slow::MakeIp4({.options = options}, slow::Payload(100)), 68).verdict,
            DropReason::kNone);
  const Bytes most = slow::MakeIp4({}, slow::Payload(kMaxPieces * 48 + 0));
  EXPECT_EQ(Cut(most, 68).packets.size(), kMaxPieces);
  EXPECT_EQ(Cut(slow::MakeIp4({}, slow::Payload(kMaxPieces * 48 + 1)), 68).verdict,
            DropReason::k_too_big);
}

TEST(FragmentCut, LaterPiecesHaveOnlyTheOptionsThatMustBeCopied) {
  const Bytes source_route = {0x83, 7, 4, 10, 0, 0, 9};  // copied
  const Bytes record_route = {7, 7, 4, 0, 0, 0, 0};      // not copied
  const Bytes stream = {0x88, 4, 0, 5};                  // copied
  const Bytes options = source_route + record_route + stream + Bytes{1, 0};
  ASSERT_EQ(options.size() % 4, 0U);
  const Bytes payload = slow::Payload(300);
  const Pieces pieces = Cut(slow::MakeIp4({.options = options}, payload), 200);
  ASSERT_EQ(pieces.packets.size(), 2U);
  EXPECT_EQ(pieces.packets[0], slow::MakeIp4({.flags_fragment = 0x2000, .options = options},
                                             slow::Slice(payload, 0, 160)));
  EXPECT_EQ(pieces.packets[1],
            slow::MakeIp4({.flags_fragment = 20, .options = source_route + stream + Bytes{0}},
                          slow::Slice(payload, 160, 140)));
}

TEST(FragmentCut, CopiesNoOptionBehindAMalformedOne) {
  const Bytes payload = slow::Payload(300);
  for (const Bytes& bad :
       {Bytes{0x83, 0, 4, 4}, Bytes{0x83, 1, 4, 4}, Bytes{0x83, 9, 4, 4}, Bytes{1, 1, 1, 0x83}}) {
    const Pieces pieces = Cut(slow::MakeIp4({.options = bad}, payload), 200);
    ASSERT_EQ(pieces.packets.size(), 2U);
    EXPECT_EQ(pieces.packets[1],
              slow::MakeIp4({.flags_fragment = 22}, slow::Slice(payload, 176, 124)));
  }
}

TEST(FragmentCut, CutsAFragmentAgain) {
  const Bytes payload = slow::Payload(1400);
  const Pieces pieces = Cut(slow::MakeIp4({.flags_fragment = 0x2000 | 100}, payload), 820);
  ASSERT_EQ(pieces.packets.size(), 2U);
  EXPECT_EQ(pieces.packets[0],
            slow::MakeIp4({.flags_fragment = 0x2000 | 100}, slow::Slice(payload, 0, 800)));
  EXPECT_EQ(pieces.packets[1],
            slow::MakeIp4({.flags_fragment = 0x2000 | 200}, slow::Slice(payload, 800, 600)));
}

TEST(FragmentCut, AWrongHeaderChecksumStaysWrongByTheSameAmount) {
  Bytes packet = slow::MakeIp4({}, slow::Payload(1480));
  slow::Put16(&packet, 10, slow::Get16(packet, 10) ^ 0x1234U);
  const uint16_t wrong = slow::Sum(slow::Slice(packet, 0, 20));
  ASSERT_NE(wrong, 0xffff);
  for (const Bytes& piece : Cut(packet, 500).packets) {
    EXPECT_EQ(slow::Sum(slow::Slice(piece, 0, 20)), wrong);
  }
}

TEST(FragmentCut, PiecesReassembleToTheOriginalPacket) {
  const uint32_t seed = 11;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  int cut_count = 0;
  for (int i = 0; i < 3000; ++i) {
    const bool was_fragment = random() % 2 == 0;
    const size_t words = random() % 11;
    const Bytes options = words == 0 ? Bytes{} : Bytes(words * 4, random() % 2 == 0 ? 1 : 0);
    size_t length = 1 + random() % 3000;
    if (was_fragment) length = (length + 7) / 8 * 8;
    const slow::Ip4 ip{.tos = 3,
                       .flags_fragment = was_fragment ? uint16_t{0x2000 | 40} : uint16_t{0},
                       .options = options};
    const Bytes payload = slow::Payload(length, static_cast<uint8_t>(i));
    const auto mtu = static_cast<uint32_t>(68 + random() % 1500);
    const Pieces pieces = Cut(slow::MakeIp4(ip, payload), mtu);
    if (pieces.verdict != DropReason::kNone) continue;
    if (pieces.packets.size() > 1) ++cut_count;
    bool more = false;
    ASSERT_EQ(Reassemble(pieces.packets, &more), payload) << i;
    ASSERT_EQ(more, was_fragment) << i;
    for (const Bytes& piece : pieces.packets) ASSERT_LE(piece.size(), mtu) << i;
    if (pieces.packets.size() > 1) {  // the first piece is as large as possible
      const Bytes& first = pieces.packets[0];
      ASSERT_GT(first.size() + 8, mtu) << i;
    }
  }
  EXPECT_GT(cut_count, 1000);
}

}  // namespace
}  // namespace fairlead
