#include "controlplane/publish/shared_image.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include <sys/mman.h>

#include "controlplane/common/system_error.h"

namespace fairlead {
namespace {

Status ImageError(const std::string& what) {
  return SystemError("the image for the dataplane: " + what);
}

Status WriteAt(int fd, std::span<const std::byte> bytes, size_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return ImageError("write to a memfd");
    bytes = bytes.subspan(static_cast<size_t>(count));
    offset += static_cast<size_t>(count);
  }
  return {};
}

}  // namespace

Result<int> SharedImage::Update(std::span<const std::byte> image,
                                const SnapshotAssembler::Writes& writes) {
  if (fd_.valid() && image.size() < size_bytes_) Forget();
  const bool is_new = !fd_.valid();
  if (is_new) fd_ = UniqueFd(::memfd_create("fairlead-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd_.valid()) return ImageError("memfd_create");
  const auto update = [&]() -> Status {
    // The dataplane maps only a memfd that cannot shrink.
    if (is_new && ::fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
      return ImageError("seal a memfd");
    }
    if (!is_new && !writes.all && image.size() == size_bytes_) {
      for (const auto& [offset, length] : writes.ranges) {
        RETURN_IF_ERROR(WriteAt(fd_.get(), image.subspan(offset, length), offset));
      }
      return {};
    }
    if (::ftruncate(fd_.get(), static_cast<off_t>(image.size())) != 0) {
      return ImageError("size of a memfd");
    }
    return WriteAt(fd_.get(), image, 0);
  };
  if (Status updated = update(); !updated.ok()) {
    Forget();
    return updated;
  }
  size_bytes_ = image.size();
  return fd_.get();
}

}  // namespace fairlead
