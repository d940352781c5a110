// The one gate between received bytes and the dataplane: after it, indices are trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/result.h"
#include "lib/snapshot/difference.h"
#include "lib/snapshot/view.h"

namespace fairlead {

// Checks length, magic, version, digest, then every count, offset, index, enum and range,
// uniqueness of frontends and of backend ids, and that services' backend ranges tile the backends.
// The message names record, field and value. Pure; any thread; never reads outside `image`,
// whatever its bytes (fuzzed). REQUIRES image.data() aligned to 8.
Status ValidateSnapshot(std::span<const std::byte> image);

// The same verdict, but for the order in which defects are found: of services that are as they were in
// `before`, a valid image, the backends are not looked at again. `difference`: how the two differ, if
// the image is valid.
Status ValidateSnapshotAfter(const SnapshotView& before, std::span<const std::byte> image,
                             SnapshotDifference* difference);

// What header.digest of `image` must hold (format.h). REQUIRES image of at least a header's size.
uint64_t SnapshotDigest(std::span<const std::byte> image);

}  // namespace fairlead
