// The checksum of a stored row: XXH3-64 of its table name and columns. Each has its length before
// it, so different rows never give the same text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace fairlead {

class RowDigest {
 public:
  explicit RowDigest(std::string_view table) { Add(table); }
  RowDigest& Add(std::string_view text) {
    text_.append(std::to_string(text.size())).append(":").append(text);
    return *this;
  }
  RowDigest& Add(int64_t number) { return Add(std::to_string(number)); }
  int64_t value() const { return static_cast<int64_t>(XXH3_64bits(text_.data(), text_.size())); }

 private:
  std::string text_;
};

}  // namespace fairlead
