// Memory for a flow table under test.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "lib/flow/flow_table.h"

namespace fairlead::testing {

class TableMemory {
 public:
  explicit TableMemory(size_t bytes) : lines_((bytes + sizeof(Line) - 1) / sizeof(Line)) {}

  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(lines_)); }
  // Writes `value` at a byte offset from the start of the table (layout: flow_table.h).
  template <typename T>
  void Put(size_t offset, T value) {
    std::memcpy(bytes().data() + offset, &value, sizeof(value));
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64] = {};
  };
  std::vector<Line> lines_;
};

}  // namespace fairlead::testing
