#include "dataplane/manage/image_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include <sys/stat.h>

#include "lib/snapshot/format.h"
#include "lib/snapshot/validator.h"

namespace fairlead {
namespace {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

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

Result<SnapshotImage> LoadImageFile(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return NotFound("snapshot " + path + " cannot be opened: " + ErrorText());
  struct stat info = {};
  if (fstat(file.get(), &info) != 0) {
    return InvalidArgument("snapshot " + path + " cannot be examined: " + ErrorText());
  }
  Result<SnapshotImage> image = LoadImageFd(file.get(), static_cast<uint64_t>(info.st_size));
  if (!image.ok()) {
    return Status(image.status().code(),
                  "snapshot " + path + " is refused: " + image.status().message());
  }
  return image;
}

Status StoreImageFile(const std::string& path, std::span<const std::byte> image) {
  const std::string temporary = path + ".new";
  {
    const FileDescriptor file(
        open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640));
    if (file.get() < 0) return Unavailable(temporary + " cannot be written: " + ErrorText());
    size_t done = 0;
    while (done < image.size()) {
      const ssize_t count = write(file.get(), image.data() + done, image.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return Unavailable(temporary + " cannot be written: " + ErrorText());
      done += static_cast<size_t>(count);
    }
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return Unavailable(path + " cannot be replaced: " + ErrorText());
  }
  return {};
}

}  // namespace fairlead
