// Loads snapshot images from files and memfds, and saves them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/difference.h"

namespace fairlead {

// Reads and validates the file that the operator names. Errors: kInvalidArgument.
Result<SnapshotImage> LoadImageFile(const std::string& path);

// Reads and validates a file that StoreImageFile wrote: a regular file of this user, not a link.
// kNotFound: there is no such file.
Result<SnapshotImage> LoadSavedImage(const std::string& path);

// Keeps a memfd mapped from one image to the next while the sender reuses it. Copying from the
// mapping takes half as long as reading the file.
class MappedImages {
 public:
  MappedImages() = default;
  MappedImages(const MappedImages&) = delete;
  MappedImages& operator=(const MappedImages&) = delete;
  ~MappedImages() { Unmap(); }

  // The first `bytes` of the file behind `fd`, valid until the next call. Empty if mapping is not
  // safe: its seals do not prevent shrinking, or it is not an ordinary memfd without holes.
  std::span<const std::byte> Map(int fd, uint64_t bytes);

 private:
  void Unmap();

  void* start_ = nullptr;
  uint64_t length_ = 0;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
};

// The image before the new one. Parts that both have in common are not validated again.
struct ImageBefore {
  std::span<const std::byte> image = {};  // valid; empty: there is none
  std::vector<uint64_t> memory = {};      // unused memory, for the new image
  SnapshotDifference difference = {};     // between both; set when the new one is loaded
  MappedImages* mapped = nullptr;         // null: the new image is read, not mapped
};

// Copies `bytes` of the regular file (memfd) behind `fd` and validates the copy. Changes that the
// sender makes to the file afterwards have no effect. Fails if the file does not have exactly that
// size.
Result<SnapshotImage> LoadImageFd(int fd, uint64_t bytes, ImageBefore* before);

// Replaces the file in one step (rename): a reader finds the complete old or new image. A failure
// leaves the old image unchanged, and no temporary file.
Status StoreImageFile(const std::string& path, std::span<const std::byte> image);

}  // namespace fairlead
