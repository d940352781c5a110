// Snapshot images in files and memfds.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "lib/base/result.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

// Reads and validates what the operator names. Fails with kNotFound when it cannot be opened.
Result<SnapshotImage> LoadImageFile(const std::string& path);

// The same of what StoreImageFile has written: a regular file of this user's, through no link.
// kNotFound: there is none.
Result<SnapshotImage> LoadKeptImage(const std::string& path);

// Copies `bytes` of the regular file (memfd) behind `fd` and validates the copy: what the sender
// does to the file afterwards changes nothing. Fails when the file is not of exactly that size.
Result<SnapshotImage> LoadImageFd(int fd, uint64_t bytes);

// Replaces the file in one step (rename), so that a reader finds the old or the new image whole. A
// failure leaves the old one as it was, and nothing beside it.
Status StoreImageFile(const std::string& path, std::span<const std::byte> image);

}  // namespace fairlead
