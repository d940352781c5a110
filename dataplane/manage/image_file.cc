#include "dataplane/manage/image_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "lib/base/error_text.h"
#include "lib/host/own_files.h"
#include "lib/snapshot/format.h"
#include "lib/snapshot/validator.h"

namespace fairlead {
namespace {}  // namespace

void MappedImages::Unmap() {
  if (start_ != nullptr) munmap(start_, length_);
  start_ = nullptr;
}

std::span<const std::byte> MappedImages::Map(int fd, uint64_t bytes) {
  struct stat info = {};
  struct statfs system = {};
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &info) != 0 ||
      fstatfs(fd, &system) != 0 || bytes == 0) {
    return {};
  }
  // Accepts no huge pages, since none may be left, and no holes, since reading them would use
  // memory of this process.
  constexpr uint64_t kBlockBytes = 512;
  if (system.f_type != TMPFS_MAGIC || static_cast<uint64_t>(info.st_size) < bytes ||
      static_cast<uint64_t>(info.st_blocks) * kBlockBytes < bytes) {
    return {};
  }
  const bool is_mapped =
      start_ != nullptr && device_ == info.st_dev && inode_ == info.st_ino && length_ == bytes;
  if (!is_mapped) {
    Unmap();
    void* const mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (mapped == MAP_FAILED) return {};
    start_ = mapped;
    length_ = bytes;
    device_ = info.st_dev;
    inode_ = info.st_ino;
  }
  return {static_cast<const std::byte*>(start_), bytes};
}

namespace {

Status CopyFile(int fd, std::span<std::byte> out, MappedImages* mapped) {
  const auto content =
      mapped == nullptr ? std::span<const std::byte>() : mapped->Map(fd, out.size());
  if (!content.empty()) {
    std::memcpy(out.data(), content.data(), out.size());
    return {};
  }
  uint64_t done = 0;
  while (done < out.size()) {
    const ssize_t count = pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return InvalidArgument("cannot read the image: " + ErrorText());
    if (count == 0) return InvalidArgument("the image became shorter while reading it");
    done += static_cast<uint64_t>(count);
  }
  return {};
}

}  // namespace

Result<SnapshotImage> LoadImageFd(int fd, uint64_t bytes, ImageBefore* before) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return InvalidArgument("cannot stat the image: " + ErrorText());
  if (!S_ISREG(info.st_mode)) return InvalidArgument("the image is not a regular file");
  if (bytes > kMaxSnapshotBytes) {
    return InvalidArgument("the image has " + std::to_string(bytes) + " bytes, but the limit is " +
                           std::to_string(kMaxSnapshotBytes));
  }
  if (static_cast<uint64_t>(info.st_size) != bytes) {
    return InvalidArgument("the image has " + std::to_string(info.st_size) +
                           " bytes, but the message says " + std::to_string(bytes));
  }
  std::vector<uint64_t> words = std::move(before->memory);
  words.resize((bytes + 7) / 8);
  auto* const start = reinterpret_cast<std::byte*>(words.data());
  RETURN_IF_ERROR(CopyFile(fd, {start, bytes}, before->mapped));
  if (before->image.empty()) {
    RETURN_IF_ERROR(ValidateSnapshot({start, bytes}));
  } else {
    RETURN_IF_ERROR(
        ValidateSnapshotAfter(SnapshotView(before->image), {start, bytes}, &before->difference));
  }
  return SnapshotImage(std::move(words));
}

namespace {

Result<SnapshotImage> LoadOpened(const std::string& path, int fd) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) {
    return InvalidArgument("cannot stat snapshot " + path + ": " + ErrorText());
  }
  ImageBefore none;
  Result<SnapshotImage> image = LoadImageFd(fd, static_cast<uint64_t>(info.st_size), &none);
  if (!image.ok()) {
    return Status(image.status().code(),
                  "snapshot " + path + " is refused: " + image.status().message());
  }
  return image;
}

}  // namespace

Result<SnapshotImage> LoadImageFile(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return InvalidArgument("cannot open snapshot " + path + ": " + ErrorText());
  return LoadOpened(path, file.get());
}

Result<SnapshotImage> LoadSavedImage(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd file, OpenOwnFile(path, O_RDONLY));
  return LoadOpened(path, file.get());
}

Status StoreImageFile(const std::string& path, std::span<const std::byte> image) {
  return ReplaceOwnFile(path, {reinterpret_cast<const char*>(image.data()), image.size()}, 0600);
}

}  // namespace fairlead
