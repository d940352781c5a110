// The memfd with the image, shared with the dataplane. The next publish reuses it and writes only
// what changed. The dataplane copies the image before it uses it.
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
  // Returns the file descriptor of a memfd with exactly the bytes of `image`. `writes`: the
  // differences from the image of the last call. REQUIRES that the dataplane does not read the
  // memfd any more: it answered the last publish, or Forget() was called. Fails with kUnavailable
  // if there is no memory.
  Result<int> Update(std::span<const std::byte> image, const SnapshotAssembler::Writes& writes);
  // The dataplane may still be reading the memfd: the next image gets a new one.
  void Forget() { fd_.Reset(); }

 private:
  UniqueFd fd_;
  size_t size_bytes_ = 0;
};

}  // namespace fairlead
