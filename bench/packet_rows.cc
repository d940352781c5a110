// Every packet row as a benchmark: what one of its packets costs in ProcessBurst, which rules are
// dear and which are cheap. Buffers are filled again for each burst, outside the time that counts
// (whose reading, some 20 ns, is in the figures of rows of a single packet).
//
//   variant/row   ns_per_packet
//
// A row's verdicts and bytes are checked before it is timed; a row that is wrong is an error, not a
// figure. Only the first 32 packets of longer rows count.
#include "tests/packet/packet_rows.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace fairlead {
namespace {

constexpr uint16_t kTailroom = 64;

struct Prepared {
  std::vector<std::unique_ptr<FrameBuffer>> buffers;
  Burst burst;
};

void Fill(const PacketRow& row, Prepared* prepared) {
  const size_t count = std::min<size_t>(row.steps.size(), kMaxBurst);
  prepared->buffers.clear();
  prepared->burst.count = 0;
  for (size_t i = 0; i < count; ++i) {
    prepared->buffers.push_back(
        std::make_unique<FrameBuffer>(row.steps[i].frame, uint32_t{0}, kTailroom));
    prepared->buffers.back()->AddTo(&prepared->burst);
  }
}

// Empty, or what is wrong.
std::string Check(const PacketRow& row, PacketHarness* harness) {
  Prepared prepared;
  Fill(row, &prepared);
  ProcessBurst(harness->context(), prepared.burst);
  const Burst& burst = prepared.burst;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const PacketStep& step = row.steps[i];
    if (burst.verdict[i] != step.verdict || burst.reason[i] != step.reason) {
      return "packet " + std::to_string(i) + " has another verdict";
    }
    if (!step.out.empty() && (burst.frame_length[i] != step.out.size() ||
                              std::memcmp(burst.frame[i], step.out.data(), step.out.size()) != 0)) {
      return "packet " + std::to_string(i) + " leaves with other bytes";
    }
  }
  return {};
}

void RunRow(benchmark::State& state, const PacketRow& row, PacketHarness* harness) {
  harness->Reset();
  if (const std::string wrong = Check(row, harness); !wrong.empty()) {
    state.SkipWithError(wrong.c_str());
    return;
  }
  Prepared prepared;
  int64_t packets = 0;
  for (auto _ : state) {
    Fill(row, &prepared);
    harness->context().now_us += 1'000'000;  // the token bucket is full again
    const auto start = std::chrono::steady_clock::now();
    ProcessBurst(harness->context(), prepared.burst);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    state.SetIterationTime(taken.count());
    packets += prepared.burst.count;
  }
  state.SetItemsProcessed(packets);
  state.counters["ns_per_packet"] =
      benchmark::Counter(static_cast<double>(packets) / 1e9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  using namespace fairlead;
  Result<PacketRows> rows = LoadPacketRows();
  if (!rows.ok()) {
    std::cerr << rows.status().message() << "\n";
    return 1;
  }
  std::map<std::string, std::unique_ptr<PacketHarness>> harnesses;
  for (const auto& [name, variant] : rows->variants) {
    Result<std::unique_ptr<PacketHarness>> harness = PacketHarness::Create(variant);
    if (!harness.ok()) {
      std::cerr << name << ": " << harness.status().message() << "\n";
      return 1;
    }
    harnesses[name] = *std::move(harness);
  }
  for (const PacketRow& row : rows->rows) {
    PacketHarness* harness = harnesses.at(row.variant).get();
    benchmark::RegisterBenchmark(
        (row.variant + "/" + row.name).c_str(),
        [&row, harness](benchmark::State& state) { RunRow(state, row, harness); })
        ->UseManualTime();
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
