// An image that follows another must be accepted or refused exactly as it would be alone.
#include "lib/snapshot/difference.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lib/snapshot/assembler.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/validator.h"
#include "tests/unit/rounds.h"

namespace fairlead {
namespace {

MacAddress Mac(uint32_t number) {
  MacAddress mac;
  mac.bytes = {2, 0, 0, 0, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
  return mac;
}

class DifferenceTest : public ::testing::Test {
 protected:
  uint32_t Pick(uint32_t below) { return static_cast<uint32_t>(random_()) % below; }

  SnapshotBackend MakeBackend(uint32_t service, uint32_t number) {
    SnapshotBackend backend;
    backend.id = 1 + service * 16 + number;
    backend.endpoint = {
        IpAddress::Parse("10.0." + std::to_string(service) + "." + std::to_string(1 + number))
            .value(),
        0};
    if (Pick(4) != 0) backend.next_hop = SnapshotNextHop{Mac(backend.id), 0, {}};
    return backend;
  }

  SnapshotService MakeService(uint32_t number) {
    SnapshotService service;
    service.id = 100 + number;
    service.name = "s" + std::to_string(number);
    const std::string address = "203.0.113." + std::to_string(1 + number);
    service.frontends = {Frontend::Parse(address + ":80/tcp").value()};
    for (uint32_t b = 0; b < 8; ++b) {
      if (Pick(3) != 0) service.backends.push_back(MakeBackend(number, b));
    }
    return service;
  }

  // Puts, removes or edits a service, or a backend of it.
  void Step() {
    const uint32_t number = Pick(kServices);
    SnapshotService& service = services_[number];
    switch (Pick(6)) {
      case 0:
        service = MakeService(number);
        assembler_.Put(service);
        return;
      case 1:
        service = {};
        assembler_.Remove("s" + std::to_string(number));
        return;
      default:
        if (service.backends.empty()) return;
        SnapshotBackend& backend =
            service.backends[Pick(static_cast<uint32_t>(service.backends.size()))];
        backend.weight = static_cast<uint16_t>(Pick(1001));
        if (Pick(3) == 0) backend.next_hop = SnapshotNextHop{Mac(Pick(500)), 0, {}};
        assembler_.PutBackend(service.name, backend);
    }
  }

  static std::vector<uint64_t> Words(const SnapshotAssembler& assembler) {
    std::vector<uint64_t> words(assembler.image().size() / 8);
    if (!words.empty()) std::memcpy(words.data(), assembler.image().data(), words.size() * 8);
    return words;
  }

  std::vector<uint64_t> Image() {
    assembler_.Assemble({.generation = ++generation_, .hash_seed = 7});
    return Words(assembler_);
  }

  // Flips bits of some words, or copies other words over them. Corrects the digest.
  void Damage(std::vector<uint64_t>* words) {
    const auto any_word = [&] {
      constexpr uint32_t kHeaderWords = sizeof(SnapshotHeader) / 8;
      return kHeaderWords + Pick(static_cast<uint32_t>(words->size()) - kHeaderWords);
    };
    for (uint32_t n = 0; n <= Pick(2); ++n) {
      uint64_t& word = (*words)[any_word()];
      if (Pick(2) == 0) {
        word ^= uint64_t{1} << Pick(64);
      } else {
        word = (*words)[any_word()];
      }
    }
    SnapshotHeader header;
    std::memcpy(&header, words->data(), sizeof(header));
    header.digest = SnapshotDigest(std::as_bytes(std::span(*words)));
    std::memcpy(words->data(), &header, sizeof(header));
  }

  static constexpr uint32_t kSeed = 20261130;
  static constexpr uint32_t kServices = 6;
  std::mt19937 random_{kSeed};
  uint64_t generation_ = 0;
  SnapshotAssembler assembler_;
  SnapshotService services_[kServices];
};

TEST_F(DifferenceTest, AnImageAfterAnotherIsAcceptedExactlyIfItIsAcceptedAlone) {
  uint32_t refused = 0;
  uint32_t accepted = 0;
  std::vector<uint64_t> before = Image();
  for (uint32_t round = 0; round < Rounds(20'000); ++round) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(round));
    for (uint32_t n = 0; n <= Pick(3); ++n) Step();
    const std::vector<uint64_t> good = Image();
    std::vector<uint64_t> after = good;
    if (after.size() * 8 > sizeof(SnapshotHeader) && Pick(4) != 0) Damage(&after);
    const auto bytes = std::as_bytes(std::span(after));
    const SnapshotView view_before(std::as_bytes(std::span(before)));
    SnapshotDifference difference;
    const Status alone = ValidateSnapshot(bytes);
    const Status following = ValidateSnapshotAfter(view_before, bytes, &difference);
    ASSERT_EQ(alone.ok(), following.ok()) << alone.message() << "|" << following.message();
    ++(alone.ok() ? accepted : refused);
    if (Pick(3) == 0) before = good;
  }
  EXPECT_GT(refused, Rounds(5000));
  EXPECT_GT(accepted, Rounds(5000));
}

TEST_F(DifferenceTest, FindsTheServicesThatDidNotChange) {
  for (uint32_t s = 0; s < kServices; ++s) assembler_.Put(services_[s] = MakeService(s));
  const std::vector<uint64_t> before = Image();
  services_[2].backends.push_back(MakeBackend(2, 15));
  assembler_.Put(services_[2]);  // has one more next hop, which changes the indexes of the others
  assembler_.Remove("s4");
  const std::vector<uint64_t> after = Image();
  const SnapshotDifference difference =
      CompareSnapshots(SnapshotView(std::as_bytes(std::span(before))),
                       SnapshotView(std::as_bytes(std::span(after))));
  EXPECT_EQ(difference.same_in_before, (std::vector<uint32_t>{0, 1, kNoSuchService, 3, 5}));
  EXPECT_FALSE(difference.same_frontends);
}

// Ids are checked only where a service has a new one.
TEST_F(DifferenceTest, ADuplicateIdIsRefused) {
  for (uint32_t s = 0; s < 3; ++s) {
    services_[s] = MakeService(s);
    services_[s].backends = {MakeBackend(s, 0), MakeBackend(s, 1)};
    assembler_.Put(services_[s]);
  }
  const std::vector<uint64_t> before = Image();
  const auto message_for = [&](uint32_t id) {
    SnapshotBackend backend = services_[1].backends[0];
    backend.id = id;
    assembler_.PutBackend("s1", backend);
    const std::vector<uint64_t> after = Image();
    SnapshotDifference difference;
    return ValidateSnapshotAfter(SnapshotView(std::as_bytes(std::span(before))),
                                 std::as_bytes(std::span(after)), &difference)
        .message();
  };
  EXPECT_NE(message_for(services_[0].backends[0].id), "");
  EXPECT_NE(message_for(services_[1].backends[1].id), "") << "an id twice in one service";
  EXPECT_EQ(message_for(4711), "");
}

// The same services give the same bytes, whatever the changes that led to them.
TEST_F(DifferenceTest, AnAssembledImageEqualsOneBuiltFromScratch) {
  std::vector<std::byte> copy;
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(round));
    Step();
    if (Pick(4) != 0) continue;
    SnapshotInput input;
    for (const SnapshotService& service : services_) {
      if (!service.name.empty()) input.services.push_back(service);
    }
    input.generation = 1;
    const Result<SnapshotImage> fresh = BuildSnapshot(input);
    ASSERT_TRUE(fresh.ok()) << fresh.status().message();
    const std::vector<uint64_t> before = Words(assembler_);
    const bool differs = assembler_.Assemble({.generation = 1});
    ASSERT_TRUE(std::ranges::equal(assembler_.image(), fresh->bytes()));
    ASSERT_EQ(differs, before != Words(assembler_));
    // A copy that is updated with the reported writes must equal the image.
    const SnapshotAssembler::Writes writes = assembler_.TakeWrites();
    if (writes.all) copy.assign(assembler_.image().size(), std::byte{0});
    const auto copy_range = [&](size_t offset, size_t length) {
      std::ranges::copy(assembler_.image().subspan(offset, length),
                        copy.begin() + static_cast<ptrdiff_t>(offset));
    };
    if (writes.all) copy_range(0, copy.size());
    for (const auto& [offset, length] : writes.ranges) copy_range(offset, length);
    ASSERT_TRUE(std::ranges::equal(copy, fresh->bytes()));
  }
}

}  // namespace
}  // namespace fairlead
