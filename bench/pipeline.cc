// A worker's time for a packet between receiving and sending: ProcessBatch, ProcessBurst and TakeFrame
// on real mbufs. Each iteration is one batch, with as many packets as one poll of a queue finds
// under load (128, or `received`). One core. The driver's time is not included.
//
//   family / mode / tracking / frame / flows / backends / services / buffers
//
// Flows take turns in a scattered order. `buffers:32` processes the same 32 buffers again and
// again, which is the best case of a NIC with direct cache access. 131072 buffers span 300 MB, so
// that every header comes from memory. Rows differ from a middle row in one value: the curves of
// docs/performance.md.
//
// ns_per_packet, cycles_per_packet (of the TSC) and mpps are of the median batch. A timer
// interrupt, or another program that uses the core for a few milliseconds, affects few batches: it
// changes the mean, not the median. `spread` is by how many per cent the 90th percentile is above
// the median.
//
// Before a row is timed, every flow is sent once. Every 61st must leave with the MAC of the backend
// that the slot table names, and with the headers of its mode.
#include <rte_cycles.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/pipeline_rig.h"
#include "lib/mode/mode.h"

namespace fairlead::bench {
namespace {

using ::benchmark::State;

constexpr uint32_t kHotBuffers = 32;

void RunRow(State& state, const Setting& setting) {
  Rig rig(setting);
  if (const std::string wrong = rig.WarmUpAndCheck(); !wrong.empty()) {
    state.SkipWithError(wrong.c_str());
    return;
  }
  const auto hz = static_cast<double>(rte_get_tsc_hz());
  std::vector<uint64_t> cycles;
  for (auto _ : state) {
    cycles.push_back(rig.RunBatch());
    state.SetIterationTime(static_cast<double>(cycles.back()) / hz);
  }
  if (rig.not_forwarded() != 0) state.SkipWithError("not every packet was forwarded");
  std::sort(cycles.begin(), cycles.end());
  const double packets = rig.batch();
  const double median = static_cast<double>(cycles[cycles.size() / 2]) / packets;
  const double slow = static_cast<double>(cycles[cycles.size() * 9 / 10]) / packets;
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * rig.batch());
  state.counters["cycles_per_packet"] = median;
  state.counters["ns_per_packet"] = median / hz * 1e9;
  state.counters["mpps"] = hz / median / 1e6;
  state.counters["spread"] = (slow / median - 1) * 100;
}

// Registers each row once, even if it is part of several curves.
class Rows {
 public:
  void Add(const Setting& setting) {
    if (!names_.insert(setting.Name()).second) return;
    ::benchmark::RegisterBenchmark(setting.Name().c_str(), [setting](State& state) {
      RunRow(state, setting);
    })->UseManualTime();
  }

  template <typename Value>
  void AddEach(Setting setting, Value Setting::*field, std::initializer_list<Value> values) {
    for (const Value value : values) {
      setting.*field = value;
      Add(setting);
    }
  }

 private:
  std::set<std::string> names_;
};

void RegisterRows() {
  Rows rows;
  for (const bool ipv6 : {false, true}) {
    for (const Tracking tracking : {Tracking::kNone, Tracking::kAdaptive, Tracking::kAll}) {
      for (size_t number = 0; number < Modes().size(); ++number) {
        const auto mode = static_cast<ForwardingMode>(number);
        const Setting beyond{.ipv6 = ipv6, .mode = mode, .tracking = tracking};
        const bool wanted = mode == ForwardingMode::kDsr || tracking != Tracking::kAll;
        if (wanted) rows.Add(beyond);
        Setting hot = beyond;
        hot.backends = 100;
        hot.buffers = kHotBuffers;
        if (wanted) rows.Add(hot);
        // All data is in L1 and L2. There the cost of a mode shows most, since nothing waits for
        // memory.
        hot.flows = 1000;
        hot.backends = 10;
        if (!wanted || tracking != Tracking::kNone) continue;
        rows.Add(hot);
        hot.observe = true;
        if (mode == ForwardingMode::kDsr) rows.Add(hot);
      }
    }
  }
  const Setting middle;
  rows.AddEach(middle, &Setting::frame_bytes, {64U, 128U, 256U, 512U, 1024U, 1500U});
  for (const Tracking tracking : {Tracking::kAdaptive, Tracking::kAll}) {
    Setting tracked = middle;
    tracked.tracking = tracking;
    rows.AddEach(tracked, &Setting::flows, {1U, 100U, 10'000U, 100'000U, 1'000'000U, 10'000'000U});
    tracked.syn_flood = true;
    rows.Add(tracked);
  }
  rows.AddEach(middle, &Setting::shifting_percent, {0U, 1U, 10U, 100U});
  Setting most = middle;
  most.flows = 10'000'000;
  most.shifting_percent = 100;
  rows.Add(most);
  rows.AddEach(middle, &Setting::backends, {1U, 10U, 100U, 1000U, 10'000U});
  Setting small = middle;
  small.backends = 10;
  rows.AddEach(small, &Setting::services, {1U, 10U, 100U, 1000U});
  small.backends = 100;
  rows.AddEach(small, &Setting::services, {1U, 1000U});
  rows.AddEach(middle, &Setting::received, {32U, 64U, 128U});
  rows.AddEach(middle, &Setting::buffers,
               {32U, 128U, 512U, 2048U, 8192U, 32'768U, 131'072U, 262'144U});
}

}  // namespace
}  // namespace fairlead::bench

int main(int argc, char** argv) {
  if (!fairlead::bench::StartEal()) {
    std::fprintf(stderr, "pipeline: EAL does not start, or there is no memory for the buffers\n");
    return 1;
  }
  fairlead::bench::RegisterRows();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
