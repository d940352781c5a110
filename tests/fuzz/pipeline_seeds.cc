// Writes the seed corpus of pipeline_fuzzer: the frames of packet rows, each under its row's mode.
#include <algorithm>
#include <cstdio>
#include <string>

#include "tests/fuzz/pipeline_config.h"
#include "tests/fuzz/seed_file.h"
#include "tests/packet/packet_rows.h"

namespace fairlead {
namespace {

constexpr size_t kLongestSeed = 4096;   // run.sh's max_len
constexpr size_t kLongestFrame = 4095;  // 12 bits
constexpr uint8_t kLastOfBurst = 1;

// The mode of a variant; kFuzzModes.size() when there is none.
size_t ModeOf(const std::string& variant) {
  const std::string name = variant == "base" ? "dsr" : variant;
  const auto found = std::find_if(kFuzzModes.begin(), kFuzzModes.end(),
                                  [&](const FuzzMode& mode) { return name == mode.name; });
  return static_cast<size_t>(found - kFuzzModes.begin());
}

void WriteRow(const std::string& folder, const PacketRow& row, size_t mode) {
  std::vector<uint8_t> seed = {static_cast<uint8_t>(mode)};
  for (const PacketStep& step : row.steps) {
    const size_t length = step.frame.size();
    if (length > kLongestFrame || seed.size() + 2 + length > kLongestSeed) break;
    seed.push_back(static_cast<uint8_t>(kLastOfBurst << 4 | length >> 8));
    seed.push_back(static_cast<uint8_t>(length));
    seed.insert(seed.end(), step.frame.begin(), step.frame.end());
  }
  if (seed.size() > 1) {
    testing::WriteSeed(folder, row.variant + "-" + row.name, std::as_bytes(std::span(seed)));
  }
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  using namespace fairlead;
  const std::string folder = testing::SeedFolder(argc, argv);
  Result<PacketRows> rows = LoadPacketRows();
  if (!rows.ok()) {
    std::fprintf(stderr, "pipeline_seeds: %s\n", rows.status().message().c_str());
    return 1;
  }
  // Most rows have the same input under all modes. So this takes all rows of nat, and every sixth
  // row of the others.
  size_t number = 0;
  for (const PacketRow& row : rows->rows) {
    const size_t mode = ModeOf(row.variant);
    if (mode < kFuzzModes.size() && (row.variant == "nat" || ++number % 6 == 0)) {
      WriteRow(folder, row, mode);
    }
  }
  return 0;
}
