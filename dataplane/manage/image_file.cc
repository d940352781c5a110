#include "dataplane/manage/image_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include <sys/stat.h>

#include "lib/host/own_files.h"
#include "lib/snapshot/format.h"
#include "lib/snapshot/validator.h"

namespace fairlead {
namespace {

std::string ErrorText() { return std::strerror(errno); }

}  // namespace

Result<SnapshotImage> LoadImageFd(int fd, uint64_t bytes) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) return InvalidArgument("the image cannot be examined: " + ErrorText());
  if (!S_ISREG(info.st_mode)) return InvalidArgument("the image is no file");
  if (bytes > kMaxSnapshotBytes) {
    return InvalidArgument("the image has " + std::to_string(bytes) + " bytes, at most " +
                           std::to_string(kMaxSnapshotBytes) + " are accepted");
  }
  if (static_cast<uint64_t>(info.st_size) != bytes) {
    return InvalidArgument("the image has " + std::to_string(info.st_size) + " bytes, " +
                           std::to_string(bytes) + " were announced");
  }
  std::vector<uint64_t> words((bytes + 7) / 8);
  auto* const start = reinterpret_cast<std::byte*>(words.data());
  uint64_t done = 0;
  while (done < bytes) {
    const ssize_t count = pread(fd, start + done, bytes - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return InvalidArgument("the image cannot be read: " + ErrorText());
    if (count == 0) return InvalidArgument("the image became shorter while it was read");
    done += static_cast<uint64_t>(count);
  }
  RETURN_IF_ERROR(ValidateSnapshot({start, bytes}));
  return SnapshotImage(std::move(words));
}

namespace {

Result<SnapshotImage> LoadOpened(const std::string& path, int fd) {
  struct stat info = {};
  if (fstat(fd, &info) != 0) {
    return InvalidArgument("snapshot " + path + " cannot be examined: " + ErrorText());
  }
  Result<SnapshotImage> image = LoadImageFd(fd, static_cast<uint64_t>(info.st_size));
  if (!image.ok()) {
    return Status(image.status().code(),
                  "snapshot " + path + " is refused: " + image.status().message());
  }
  return image;
}

}  // namespace

Result<SnapshotImage> LoadImageFile(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return NotFound("snapshot " + path + " cannot be opened: " + ErrorText());
  return LoadOpened(path, file.get());
}

Result<SnapshotImage> LoadKeptImage(const std::string& path) {
  ASSIGN_OR_RETURN(const UniqueFd file, OpenOwnFile(path, O_RDONLY));
  return LoadOpened(path, file.get());
}

Status StoreImageFile(const std::string& path, std::span<const std::byte> image) {
  return ReplaceOwnFile(path, {reinterpret_cast<const char*>(image.data()), image.size()}, 0600);
}

}  // namespace fairlead
