// Every packet row as a benchmark: the cost of one of its packets in ProcessBurst. It shows which
// rules are expensive. Before each burst the buffers are filled again and waiting fragments are
// discarded. This is not timed. Reading the clock takes some 20 ns, which is part of the figures:
// it matters in rows of a single packet.
//
//   variant/row   ns_per_packet
//
// A row's verdicts and bytes are checked before it is timed. A wrong row is an error, and has no
// figure. Of longer rows, only the first 32 packets are used.
#include "tests/packet/packet_rows.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace fairlead {
namespace {

using Frames = std::vector<std::vector<uint8_t>>;

void Fill(const PacketRow& row, PacketHarness* harness, Burst* burst) {
  burst->count = 0;
  const size_t count = std::min<size_t>(row.steps.size(), kMaxBurst);
  for (size_t i = 0; i < count; ++i) {
    FrameLayout layout = row.steps[i].layout;
    layout.tailroom = 64;
    if (layout.linear_length != 0) layout.tailroom = 0;
    harness->buffers().Receive(row.steps[i].frame, layout, burst);
  }
}

// Adds the frames that left to `left`. False if a packet has another verdict than its step says.
bool Take(const PacketHarness::Outcome& outcome, const PacketRow& row, Frames* left) {
  for (size_t i = 0; i < outcome.packets.size(); ++i) {
    const PacketHarness::PacketFate& packet = outcome.packets[i];
    if (!packet.frame.empty()) left->push_back(packet.frame);
    if (packet.verdict == Verdict::kHeld
            ? !row.steps[i].late
            : packet.verdict != row.steps[i].verdict || packet.reason != row.steps[i].reason) {
      return false;
    }
  }
  left->insert(left->end(), outcome.made.begin(), outcome.made.end());
  return true;
}

// Returns what is wrong, or an empty string.
std::string Check(const PacketRow& row, PacketHarness* harness) {
  Burst burst;
  Fill(row, harness, &burst);
  Frames left;
  if (!Take(harness->Process(&burst), row, &left)) return "a packet has another verdict";
  const PacketHarness::Outcome released = harness->Release(true);
  for (const PacketHarness::PacketFate& packet : released.packets) {
    if (!packet.frame.empty()) left.push_back(packet.frame);
  }
  Frames wanted;
  for (uint32_t i = 0; i < burst.count; ++i) {
    wanted.insert(wanted.end(), row.steps[i].out.begin(), row.steps[i].out.end());
  }
  std::sort(left.begin(), left.end(), FrameLess);
  std::sort(wanted.begin(), wanted.end(), FrameLess);
  return left == wanted ? "" : "other frames leave";
}

void RunRow(benchmark::State& state, const PacketRow& row, PacketHarness* harness) {
  harness->Reset();
  if (const std::string wrong = Check(row, harness); !wrong.empty()) {
    state.SkipWithError(wrong.c_str());
    return;
  }
  auto burst = std::make_unique<Burst>();
  int64_t packets = 0;
  const bool waits = std::any_of(row.steps.begin(), row.steps.end(),
                                 [](const PacketStep& step) { return step.late; });
  for (auto _ : state) {
    if (waits) harness->ResetFragments();
    Fill(row, harness, burst.get());
    harness->context().now_us += 1'000'000;  // the token buckets are full again
    const auto start = std::chrono::steady_clock::now();
    ProcessBurst(harness->context(), *burst);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    state.SetIterationTime(taken.count());
    packets += burst->count;
    harness->FreeBuffers(*burst);
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
