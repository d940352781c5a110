#include "dataplane/manage/image_file.h"

#include <fcntl.h>

#include <fstream>

#include <sys/socket.h>

#include "tests/unit/manage/fixture.h"

namespace fairlead {
namespace {

using testing::Memfd;
using testing::TemporaryFolder;
using testing::WebImage;

bool SameBytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

TEST(ImageFile, LoadsAStoredImage) {
  const TemporaryFolder folder;
  const SnapshotImage image = WebImage(5, 3);
  ASSERT_TRUE(StoreImageFile(folder / "last", image.bytes()).ok());
  const Result<SnapshotImage> loaded = LoadImageFile(folder / "last");
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_TRUE(SameBytes(loaded->bytes(), image.bytes()));
}

TEST(ImageFile, ReplacesTheOldFileAndLeavesNoTemporaryOne) {
  const TemporaryFolder folder;
  ASSERT_TRUE(StoreImageFile(folder / "last", WebImage(1, 3).bytes()).ok());
  ASSERT_TRUE(StoreImageFile(folder / "last", WebImage(2, 1).bytes()).ok());
  const Result<SnapshotImage> loaded = LoadImageFile(folder / "last");
  ASSERT_TRUE(loaded.ok());
  EXPECT_TRUE(SameBytes(loaded->bytes(), WebImage(2, 1).bytes()));
  EXPECT_FALSE(std::filesystem::exists(folder / "last.new"));
}

TEST(ImageFile, DoesNotFollowASymbolicLinkWhenItStores) {
  const TemporaryFolder folder;
  std::ofstream(folder / "precious") << "precious";
  std::filesystem::create_symlink(folder / "precious", folder / "last.new");
  EXPECT_TRUE(StoreImageFile(folder / "last", WebImage(1, 1).bytes()).ok());
  EXPECT_EQ(std::filesystem::file_size(folder / "precious"), 8u);
  EXPECT_FALSE(std::filesystem::is_symlink(folder / "last"));
}

TEST(ImageFile, SaysWhichFileIsMissingOrBad) {
  const TemporaryFolder folder;
  const Result<SnapshotImage> missing = LoadImageFile(folder / "none");
  EXPECT_EQ(missing.status().code(), ErrorCode::kInvalidArgument);
  std::ofstream(folder / "bad")
      << "this file is not a snapshot image, but only some text of a test";
  const Result<SnapshotImage> bad = LoadImageFile(folder / "bad");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.status().message().find(folder / "bad"), std::string::npos);
}

// Loads the image alone, and after another image. Both must give the same result.
Result<SnapshotImage> LoadFd(int fd, uint64_t bytes) {
  const SnapshotImage other = WebImage(4, 3);
  ImageBefore alone;
  ImageBefore after_other = {.image = other.bytes(), .memory = std::vector<uint64_t>(1000, 7)};
  Result<SnapshotImage> loaded = LoadImageFd(fd, bytes, &alone);
  const Result<SnapshotImage> again = LoadImageFd(fd, bytes, &after_other);
  EXPECT_EQ(loaded.ok(), again.ok());
  if (loaded.ok() && again.ok()) {
    EXPECT_TRUE(SameBytes(loaded->bytes(), again->bytes()));
  }
  return loaded;
}

TEST(ImageFd, CopiesTheImage) {
  const SnapshotImage image = WebImage(5, 3);
  const Memfd fd(image.bytes());
  const Result<SnapshotImage> loaded = LoadFd(fd.get(), image.bytes().size());
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_TRUE(SameBytes(loaded->bytes(), image.bytes()));
}

TEST(ImageFd, RefusesAnotherSizeThanAnnounced) {
  const SnapshotImage image = WebImage(5, 3);
  const Memfd fd(image.bytes());
  for (const uint64_t size : {uint64_t{0}, image.bytes().size() - 1, image.bytes().size() + 1,
                              kMaxSnapshotBytes + 8, ~uint64_t{0}}) {
    EXPECT_FALSE(LoadFd(fd.get(), size).ok()) << size;
  }
}

TEST(ImageFd, RefusesAFileDescriptorThatIsNotAFile) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  EXPECT_FALSE(LoadFd(pair[0], 128).ok());
  EXPECT_FALSE(LoadFd(-1, 128).ok());
  close(pair[0]);
  close(pair[1]);
}

TEST(ImageFd, RefusesEveryFlippedByte) {
  const SnapshotImage image = WebImage(5, 3);
  for (size_t at = 0; at < image.bytes().size(); ++at) {
    std::vector<std::byte> bytes(image.bytes().begin(), image.bytes().end());
    bytes[at] ^= std::byte{0x10};
    const Memfd fd(bytes);
    EXPECT_FALSE(LoadFd(fd.get(), bytes.size()).ok()) << at;
  }
}

}  // namespace
}  // namespace fairlead
