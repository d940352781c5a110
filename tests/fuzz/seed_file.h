// Helpers of the programs that write seed corpora.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

namespace fairlead::testing {

// Writes FOLDER/NAME; ends the program when it cannot.
inline void WriteSeed(const std::string& folder, const std::string& name,
                      std::span<const std::byte> bytes) {
  const std::string path = folder + "/" + name;
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() ||
      std::fclose(file) != 0) {
    std::perror(path.c_str());
    std::exit(1);
  }
}

// The folder that was named on the command line.
inline std::string SeedFolder(int argc, char** argv) {
  if (argc == 2) return argv[1];
  std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
  std::exit(2);
}

}  // namespace fairlead::testing
