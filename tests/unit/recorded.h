// What release 0.1.0's programs wrote: tests/compat/v0.1.0, recorded by tests/compat/record.py.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::testing_recorded {

std::string PathOf(const std::string& name);

// Empty, and a failed test, where it cannot be read.
std::string Read(const std::string& name);
// Of a file NAME that gzip packed.
std::string Unpack(const std::string& name);

std::vector<std::byte> Bytes(std::string_view content);

}  // namespace fairlead::testing_recorded
