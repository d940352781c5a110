// Validates received snapshots. After validation, the dataplane trusts all indices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/base/result.h"
#include "lib/snapshot/difference.h"
#include "lib/snapshot/view.h"

namespace fairlead {

// Checks length, magic, version and digest. Then checks every count, offset, index, enum and range,
// that frontends and ids are unique, and that every backend belongs to exactly one service. The
// message names record, field and value. Pure; any thread. Never reads outside `image`, whatever
// its bytes (fuzzed). REQUIRES image.data() aligned to 8.
Status ValidateSnapshot(std::span<const std::byte> image);

// As ValidateSnapshot, but does not check the backends of services that are unchanged since
// `before`, a valid image. The result is the same, except that of several defects another may be
// reported. `difference`: how the two images differ, if the image is valid.
Status ValidateSnapshotAfter(const SnapshotView& before, std::span<const std::byte> image,
                             SnapshotDifference* difference);

// The correct value of header.digest of `image` (format.h). REQUIRES image of at least a header's
// size.
uint64_t SnapshotDigest(std::span<const std::byte> image);

}  // namespace fairlead
