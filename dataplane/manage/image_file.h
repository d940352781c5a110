// Snapshot images in files and memfds.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/difference.h"

namespace fairlead {

// Reads and validates what the operator names. Fails with kNotFound when it cannot be opened.
Result<SnapshotImage> LoadImageFile(const std::string& path);

// The same of what StoreImageFile has written: a regular file of this user's, through no link.
// kNotFound: there is none.
Result<SnapshotImage> LoadKeptImage(const std::string& path);

// A memfd that the same sender uses again and again stays mapped from one image to the next: copying out
// of it takes half as long as reading it.
class MappedImages {
 public:
  MappedImages() = default;
  MappedImages(const MappedImages&) = delete;
  MappedImages& operator=(const MappedImages&) = delete;
  ~MappedImages() { Unmap(); }

  // The first `bytes` of the file behind `fd`; empty when they cannot be mapped safely: its seals do
  // not keep it from shrinking, or it is no ordinary memfd without holes. Valid until the next call.
  std::span<const std::byte> Map(int fd, uint64_t bytes);

 private:
  void Unmap();

  void* start_ = nullptr;
  uint64_t length_ = 0;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
};

// The image that the new one follows upon: what they have in common is not validated again.
struct ImageBefore {
  std::span<const std::byte> image = {};  // valid; empty: there is none
  std::vector<uint64_t> memory = {};      // no longer needed, for the new one
  SnapshotDifference difference = {};     // of both, once the new one is loaded
  MappedImages* mapped = nullptr;         // null: it is read
};

// Copies `bytes` of the regular file (memfd) behind `fd` and validates the copy: what the sender
// does to the file afterwards changes nothing. Fails when the file is not of exactly that size.
Result<SnapshotImage> LoadImageFd(int fd, uint64_t bytes, ImageBefore* before);

// Replaces the file in one step (rename), so that a reader finds the old or the new image whole. A
// failure leaves the old one as it was, and nothing beside it.
Status StoreImageFile(const std::string& path, std::span<const std::byte> image);

}  // namespace fairlead
