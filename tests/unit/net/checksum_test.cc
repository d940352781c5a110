#include "lib/net/checksum.h"

#include <algorithm>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "lib/base/endian.h"
#include "tests/unit/net/frame_builder.h"

namespace fairlead {
namespace {

using testing::Address;
using testing::Bytes;
using testing::SlowChecksum;
using testing::SlowL4Checksum;

uint16_t Raw(uint32_t host) { return Be16::FromHost(static_cast<uint16_t>(host)).raw(); }

TEST(Checksum, MatchesTheExampleInRfc1071) {
  const Bytes data = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(Checksum(data.data(), data.size()), Raw(0x220d));  // ~0xddf2, RFC 1071, 3
}

TEST(Checksum, IsAllOnesForNoBytes) { EXPECT_EQ(Checksum(nullptr, 0), 0xffff); }

TEST(Checksum, PadsAnOddByteWithZero) {
  const Bytes odd = {0x12, 0x34, 0x56};
  const Bytes even = {0x12, 0x34, 0x56, 0x00};
  EXPECT_EQ(Checksum(odd.data(), odd.size()), Checksum(even.data(), even.size()));
}

TEST(Checksum, IsZeroOverDataWithItsChecksum) {
  Bytes ip = testing::Ipv4({}, {});
  EXPECT_EQ(Checksum(ip.data(), 20), 0);
  ip[8] ^= 1;
  EXPECT_NE(Checksum(ip.data(), 20), 0);
}

TEST(Checksum, FoldsEveryCarry) {
  EXPECT_EQ(ChecksumFold(0), 0xffff);
  EXPECT_EQ(ChecksumFold(0xffff), 0);
  EXPECT_EQ(ChecksumFold(0x10000), 0xfffe);
  EXPECT_EQ(ChecksumFold(0x1ffff), 0xfffe);
  EXPECT_EQ(ChecksumFold(0xffffffff), 0);
  EXPECT_EQ(ChecksumFold(0x1fffffffe), 0);
  EXPECT_EQ(ChecksumFold(0xffffffffffffffff), 0);
  EXPECT_EQ(ChecksumFold(0xffffffff00000001), 0xfffe);
}

TEST(Checksum, AgreesWithASlowSumAtEveryLengthAndAlignment) {
  std::mt19937 random(1071);
  Bytes data(300);
  for (auto& byte : data) byte = static_cast<uint8_t>(random());
  for (size_t begin = 0; begin < 9; ++begin) {
    for (size_t length = 0; begin + length <= data.size(); ++length) {
      const auto first = data.begin() + static_cast<std::ptrdiff_t>(begin);
      const Bytes piece(first, first + static_cast<std::ptrdiff_t>(length));
      ASSERT_EQ(Checksum(data.data() + begin, length), Raw(SlowChecksum(piece)))
          << "seed 1071, begin " << begin << ", length " << length;
    }
  }
}

TEST(Checksum, IsRightForTheLongestPacketOfOnes) {
  const Bytes ones(65535, 0xff);
  EXPECT_EQ(Checksum(ones.data(), ones.size()), Raw(SlowChecksum(ones)));
}

TEST(Checksum, CanBeComputedInPieces) {
  Bytes data(1000);
  std::mt19937 random(7);
  for (auto& byte : data) byte = static_cast<uint8_t>(random());
  const uint64_t first = ChecksumPartial(data.data(), 334, 0);
  EXPECT_EQ(ChecksumFold(ChecksumPartial(data.data() + 334, 666, first)),
            Checksum(data.data(), data.size()));
}

TEST(Checksum, CoversThePseudoHeaderOfBothFamilies) {
  const Bytes segment = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (const auto& [source, destination] :
       {std::pair("198.51.100.7", "203.0.113.10"), std::pair("2001:db8:1::7", "2001:db8::10")}) {
    for (const uint8_t protocol : {uint8_t{6}, uint8_t{17}, uint8_t{58}}) {
      const uint64_t sum = PseudoHeaderSum(Address(source), Address(destination), protocol, 9);
      EXPECT_EQ(ChecksumFold(ChecksumPartial(segment.data(), segment.size(), sum)),
                Raw(SlowL4Checksum(source, destination, protocol, segment)));
    }
  }
  const uint64_t jumbo = PseudoHeaderSum(Address("::a"), Address("::b"), 17, 0x12345678);
  EXPECT_EQ(ChecksumFold(jumbo), Raw(0xffff - (0xa + 0xb + 0x1234 + 0x5678 + 17)));
}

TEST(ChecksumUpdate, MatchesTheExampleInRfc1624) {
  // RFC 1624, 4: HC = DD2F, m = 5555, m' = 3285: the result is 0000, not FFFF.
  EXPECT_EQ(ChecksumUpdate16(Raw(0xdd2f), Raw(0x5555), Raw(0x3285)), Raw(0x0000));
  EXPECT_EQ(ChecksumUpdate32(Raw(0xdd2f), Raw(0x5555), Raw(0x3285)), Raw(0x0000));
}

TEST(ChecksumUpdate, EqualsAFullSumForEveryValueOfAWord) {
  Bytes data = {0x45, 0x00, 0x00, 0x00, 0xaa, 0x55};
  for (uint32_t to = 0; to <= 0xffff; ++to) {
    const Bytes before = data;
    const uint32_t from = testing::Get16(data, 2);
    testing::Put16(&data, 2, to);
    ASSERT_EQ(ChecksumUpdate16(Raw(SlowChecksum(before)), Raw(from), Raw(to)),
              Raw(SlowChecksum(data)))
        << from << " -> " << to;
  }
}

TEST(ChecksumUpdate, EqualsAFullSumForRandomWords) {
  std::mt19937 random(1624);
  for (int round = 0; round < 200000; ++round) {
    Bytes data(8);
    for (auto& byte : data) byte = static_cast<uint8_t>(random());
    // The edge cases are sums near 0 and 0xffff.
    if (round % 4 == 0) std::fill(data.begin(), data.begin() + 4, uint8_t{0});
    if (round % 4 == 1) std::fill(data.begin(), data.begin() + 4, uint8_t{0xff});
    data[7] |= 1;  // a sum of only zeros has two checksums
    const uint16_t before = Raw(SlowChecksum(data));
    uint32_t from;
    std::memcpy(&from, data.data(), 4);
    const uint32_t to = round % 3 == 0 ? 0 : static_cast<uint32_t>(random());
    std::memcpy(data.data(), &to, 4);
    ASSERT_EQ(ChecksumUpdate32(before, from, to), Raw(SlowChecksum(data)))
        << "seed 1624, round " << round;
  }
}

TEST(ChecksumUpdate, LeavesAWrongChecksumWrong) {
  Bytes data = {0x12, 0x34, 0x00, 0x00, 0x40, 0x06};
  const uint32_t right = SlowChecksum(data);
  for (uint32_t error = 1; error < 0xffff; ++error) {  // modulo 65535, so 0xffff is no error
    const uint32_t wrong = (right + error) % 0xffff;
    const uint16_t updated = ChecksumUpdate16(Raw(wrong), Raw(0x4006), Raw(0x3f06));
    Bytes after = data;
    testing::Put16(&after, 4, 0x3f06);
    std::memcpy(&after[2], &updated, sizeof(updated));
    ASSERT_NE(SlowChecksum(after) % 0xffff, 0U) << "error " << error;
  }
}

}  // namespace
}  // namespace fairlead
