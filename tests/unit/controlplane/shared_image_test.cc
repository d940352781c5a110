#include "controlplane/publish/shared_image.h"

#include <unistd.h>

#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "controlplane/publish/seqpacket.h"

namespace fairlead {
namespace {

using Bytes = std::vector<std::byte>;
using Writes = SnapshotAssembler::Writes;

class SharedImageTest : public ::testing::Test {
 protected:
  Bytes Content(int fd, size_t size) { return ReadFileDescriptor(fd, size).value(); }
  SharedImage shared_;
};

TEST_F(SharedImageTest, CopiesOnlyTheReportedRanges) {
  Bytes image(10'000, std::byte{1});
  const int fd = shared_.Update(image, {.all = true}).value();
  EXPECT_EQ(Content(fd, image.size()), image);
  image[17] = image[18] = image[9'999] = std::byte{7};
  Bytes unreported = image;
  unreported[5'000] = std::byte{9};  // no range reports this byte
  ASSERT_EQ(shared_.Update(unreported, {.ranges = {{17, 2}, {9'999, 1}}}).value(), fd);
  EXPECT_EQ(Content(fd, image.size()), image);
}

TEST_F(SharedImageTest, HasExactlyTheImagesLength) {
  for (const size_t size : {4096U, 8192U, 100U, 50'000U, 1U}) {
    const Bytes image(size, std::byte{3});
    const int fd = shared_.Update(image, {.all = true}).value();
    EXPECT_EQ(::lseek(fd, 0, SEEK_END), static_cast<off_t>(size));
    EXPECT_EQ(Content(fd, size), image);
  }
}

// The dataplane maps the file. If a mapped file shrank, the dataplane would crash.
TEST_F(SharedImageTest, CannotShrink) {
  const Bytes image(8192, std::byte{3});
  const int fd = shared_.Update(image, {.all = true}).value();
  EXPECT_NE(::ftruncate(fd, 0), 0);
}

TEST_F(SharedImageTest, DoesNotChangeAForgottenFile) {
  const Bytes image(100, std::byte{3});
  const UniqueFd held(::dup(shared_.Update(image, {.all = true}).value()));
  shared_.Forget();
  const Bytes next(100, std::byte{4});
  EXPECT_EQ(Content(shared_.Update(next, {}).value(), 100), next)
      << "after Forget, the whole image must be written";
  EXPECT_EQ(Content(held.get(), 100), image);
}

}  // namespace
}  // namespace fairlead
