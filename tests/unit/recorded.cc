#include "tests/unit/recorded.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <span>

#include <gtest/gtest.h>

namespace fairlead::testing_recorded {

std::string PathOf(const std::string& name) { return std::string(FAIRLEAD_RECORDED) + "/" + name; }

std::string Read(const std::string& name) {
  std::ifstream file(PathOf(name), std::ios::binary);
  EXPECT_TRUE(file.is_open()) << "cannot open " << PathOf(name);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string Unpack(const std::string& name) {
  std::FILE* const pipe = ::popen(("gzip -dc '" + PathOf(name) + "'").c_str(), "r");
  if (pipe == nullptr) {
    ADD_FAILURE() << "cannot start gzip to unpack " << PathOf(name);
    return {};
  }
  std::string content;
  char part[65536];
  while (const size_t count = std::fread(part, 1, sizeof(part), pipe)) content.append(part, count);
  EXPECT_EQ(::pclose(pipe), 0) << "gzip cannot unpack " << PathOf(name);
  return content;
}

std::vector<std::byte> Bytes(std::string_view content) {
  const auto bytes = std::as_bytes(std::span(content));
  return {bytes.begin(), bytes.end()};
}

}  // namespace fairlead::testing_recorded
