// Images for a dataplane of release 0.1.0.
#include "lib/snapshot/older_format.h"

#include <cstring>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/snapshot/validator.h"
#include "lib/snapshot/view.h"
#include "tests/unit/snapshot/sample.h"

namespace fairlead {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::MakeFrontend;
using testing::SampleInput;

std::vector<std::byte> BytesOf(std::span<const std::byte> image) {
  return {image.begin(), image.end()};
}

// Returns the image of `input` in version 2. REQUIRES: `input` uses only what version 2 has.
std::vector<std::byte> InVersion2(const SnapshotInput& input) {
  const SnapshotImage image = BuildSnapshot(input).value();
  std::vector<uint64_t> words(image.bytes().size() / sizeof(uint64_t));
  std::memcpy(words.data(), image.bytes().data(), image.bytes().size());
  const auto bytes = std::as_writable_bytes(std::span(words));
  SnapshotHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  header.version = 2;
  std::memcpy(bytes.data(), &header, sizeof(header));
  header.digest = SnapshotDigest(bytes);
  std::memcpy(bytes.data(), &header, sizeof(header));
  return BytesOf(bytes);
}

TEST(OlderFormat, IsTheSameImageWithAnotherVersion) {
  SnapshotInput input = SampleInput();
  const std::vector<std::byte> expected = InVersion2(input);
  input.change_id = 4711;
  const OlderImage older = ToSnapshotVersion2(BuildSnapshot(input).value().bytes());
  EXPECT_EQ(BytesOf(older.image.bytes()), expected);
  EXPECT_TRUE(ValidateSnapshot(older.image.bytes()).ok());
  EXPECT_THAT(older.left_out_frontends, IsEmpty());
  EXPECT_THAT(older.services_without_reset, IsEmpty());
}

TEST(OlderFormat, LeavesOutWhatVersion2DoesNotHave) {
  SnapshotInput input = SampleInput();
  const std::vector<std::byte> expected = InVersion2(input);
  input.services[0].frontends.push_back(MakeFrontend("203.0.113.10:8000-8099/tcp"));
  input.services[0].frontends.push_back(MakeFrontend("[2001:db8::10]:1-79/tcp"));
  input.services[0].flags |= kServiceResetNoBackend | kServiceFollowHandshakes;
  const OlderImage older = ToSnapshotVersion2(BuildSnapshot(input).value().bytes());
  EXPECT_EQ(BytesOf(older.image.bytes()), expected);
  ASSERT_EQ(older.left_out_frontends.size(), 2U);
  EXPECT_EQ(older.left_out_frontends[0].service, "web");
  EXPECT_EQ(older.left_out_frontends[0].frontend.ToString(), "203.0.113.10:8000-8099/tcp");
  EXPECT_EQ(older.left_out_frontends[1].frontend.ToString(), "[2001:db8::10]:1-79/tcp");
  EXPECT_THAT(older.services_without_reset, ElementsAre("web"));
  EXPECT_THAT(older.services_without_handshakes, ElementsAre("web"));
}

TEST(OlderFormat, OfAnEmptyStateIsValid) {
  const OlderImage older =
      ToSnapshotVersion2(BuildSnapshot({.generation = 3, .services = {}}).value().bytes());
  const Status valid = ValidateSnapshot(older.image.bytes());
  EXPECT_TRUE(valid.ok()) << valid.message();
  EXPECT_EQ(SnapshotView(older.image.bytes()).header().generation, 3U);
}

}  // namespace
}  // namespace fairlead
