// Writes the seed corpus of parse_fuzzer: one file for each row of the parsing rules.
//   parse_seeds FOLDER
#include <cstdio>
#include <string>

#include "tests/unit/net/parse_rows.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: parse_seeds FOLDER\n", stderr);
    return 2;
  }
  constexpr size_t kLongestSeed = 600;
  for (const fairlead::testing::ParseRow& row : fairlead::testing::AllParseRows()) {
    if (row.frame.size() > kLongestSeed) continue;
    const std::string path = std::string(argv[1]) + "/" + row.name;
    FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) {
      std::perror(path.c_str());
      return 1;
    }
    const uint8_t all_contiguous[2] = {};
    std::fwrite(all_contiguous, 1, sizeof(all_contiguous), file);
    std::fwrite(row.frame.data(), 1, row.frame.size(), file);
    if (std::fclose(file) != 0) return 1;
  }
  return 0;
}
