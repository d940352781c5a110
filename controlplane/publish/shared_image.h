// The image as the dataplane gets it: a memfd, which both hold. It is the same one from one publish to
// the next, so that only what changed is written; the dataplane copies it before it looks at it.
//
// One thread.
#pragma once

#include <cstddef>
#include <span>

#include "lib/base/result.h"
#include "lib/host/unique_fd.h"
#include "lib/snapshot/assembler.h"

namespace fairlead {

class SharedImage {
 public:
  // The descriptor of a memfd with exactly the bytes of `image`. `writes`: where they differ from those
  // of the last call. REQUIRES that nobody reads it any more: the last publish was answered, or
  // Forget() called. Fails with kUnavailable when there is no memory for it.
  Result<int> Update(std::span<const std::byte> image, const SnapshotAssembler::Writes& writes);
  // Somebody may still be reading: the next image goes to another memfd.
  void Forget() { fd_.Reset(); }

 private:
  UniqueFd fd_;
  size_t size_bytes_ = 0;
};

}  // namespace fairlead
