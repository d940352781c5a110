#include "dataplane/manage/flow_memory.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <sys/mman.h>

namespace fairlead {

Result<FlowMemory> FlowMemory::Allocate(size_t bytes) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return ResourceExhausted("flow_table.records: no memory for " + std::to_string(bytes >> 20) +
                             " MiB (" + std::strerror(errno) + ")");
  }
  // A million flows touch a million cache lines: with 4 KiB pages each would miss the TLB too.
  madvise(memory, bytes, MADV_HUGEPAGE);
  return FlowMemory({static_cast<std::byte*>(memory), bytes});
}

FlowMemory::FlowMemory(FlowMemory&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

FlowMemory::~FlowMemory() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

}  // namespace fairlead
