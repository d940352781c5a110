// The flow table's memory, the one place that decides where it lives.
#pragma once

#include <cstddef>
#include <span>

#include "lib/base/result.h"

namespace fairlead {

class FlowMemory {
 public:
  // Zeroed, page-aligned, backed when first written; huge pages where the kernel has some to give.
  static Result<FlowMemory> Allocate(size_t bytes);
  ~FlowMemory();
  FlowMemory(FlowMemory&& other) noexcept;
  FlowMemory& operator=(FlowMemory&&) = delete;
  FlowMemory(const FlowMemory&) = delete;
  FlowMemory& operator=(const FlowMemory&) = delete;

  std::span<std::byte> bytes() const { return bytes_; }

 private:
  explicit FlowMemory(std::span<std::byte> bytes) : bytes_(bytes) {}
  std::span<std::byte> bytes_;
};

}  // namespace fairlead
