// Files that the programs of release 0.1.0 wrote. They are in tests/compat/v0.1.0;
// tests/compat/record.py recorded them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::testing_recorded {

std::string PathOf(const std::string& name);

// Reads the file. If it cannot be read, the test fails and the result is empty.
std::string Read(const std::string& name);
// Reads and unpacks a file that gzip packed.
std::string Unpack(const std::string& name);

std::vector<std::byte> Bytes(std::string_view content);

}  // namespace fairlead::testing_recorded
