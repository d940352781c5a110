// The cost of a whole snapshot, from intent to dataplane: derive, build (which validates),
// validate, digest. fairleadd and the management thread pay it for the first snapshot; a change
// costs less (docs/decisions/0020). No packet waits for it.
//
// Each row first checks its result (counts, digest, acceptance). If it is wrong, the row reports an
// error and no figure.
#include <array>
#include <string>

#include <benchmark/benchmark.h>

#include "lib/intent/derive.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/validator.h"
#include "lib/snapshot/view.h"

namespace fairlead {
namespace {

using benchmark::State;

IpAddress Address(uint32_t host_order) {
  return IpAddress::FromV4(std::array<uint8_t, 4>{
      static_cast<uint8_t>(host_order >> 24), static_cast<uint8_t>(host_order >> 16),
      static_cast<uint8_t>(host_order >> 8), static_cast<uint8_t>(host_order)});
}

// Each service has one frontend in 100.64.0.0/10, and backends at consecutive addresses in
// 10.0.0.0/8.
IntentSpec MakeIntent(uint32_t service_count, uint32_t backend_count) {
  IntentSpec intent;
  intent.hash_seed = 1;
  for (uint32_t s = 0; s < service_count; ++s) {
    ServiceSpec& service = intent.services.emplace_back();
    service.name = "service-" + std::to_string(s);
    service.frontends = {{Address(0x64400000 + s), 80, Protocol::kTcp}};
    for (uint32_t b = 0; b < backend_count; ++b) {
      BackendSpec& backend = service.backends.emplace_back();
      backend.endpoint.address = Address(0x0a000000 + s * backend_count + b);
      backend.mac = MacAddress{{2, 0, 0, 0, static_cast<uint8_t>(b >> 8), static_cast<uint8_t>(b)}};
    }
  }
  return intent;
}

SnapshotInput MakeInput(const State& state) {
  const IntentSpec intent =
      MakeIntent(static_cast<uint32_t>(state.range(0)), static_cast<uint32_t>(state.range(1)));
  return DeriveSnapshot(intent, 1, OfflineObservations(intent));
}

void SetCounters(const SnapshotImage& image, State* state) {
  const SnapshotView view(image.bytes());
  state->counters["image_bytes"] = static_cast<double>(image.bytes().size());
  state->counters["per_backend"] = benchmark::Counter(
      static_cast<double>(view.backends().size()),
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

bool HasAll(const Result<SnapshotImage>& image, const State& state) {
  if (!image.ok()) return false;
  const SnapshotView view(image->bytes());
  const auto services = static_cast<size_t>(state.range(0));
  const auto backends = services * static_cast<size_t>(state.range(1));
  return view.services().size() == services && view.backends().size() == backends;
}

void BM_BuildSnapshot(State& state) {
  const SnapshotInput input = MakeInput(state);
  const Result<SnapshotImage> image = BuildSnapshot(input);
  if (!HasAll(image, state)) return state.SkipWithError("the image is wrong");
  for (auto _ : state) benchmark::DoNotOptimize(BuildSnapshot(input).value().bytes().data());
  SetCounters(*image, &state);
}

void BM_ValidateSnapshot(State& state) {
  const Result<SnapshotImage> image = BuildSnapshot(MakeInput(state));
  if (!HasAll(image, state)) return state.SkipWithError("the image is wrong");
  for (auto _ : state) {
    if (!ValidateSnapshot(image->bytes()).ok()) return state.SkipWithError("refused");
  }
  SetCounters(*image, &state);
}

// The part of ValidateSnapshot that reads every byte once.
void BM_SnapshotDigest(State& state) {
  const Result<SnapshotImage> image = BuildSnapshot(MakeInput(state));
  if (!HasAll(image, state)) return state.SkipWithError("the image is wrong");
  const uint64_t digest = SnapshotView(image->bytes()).header().digest;
  for (auto _ : state) {
    if (SnapshotDigest(image->bytes()) != digest) return state.SkipWithError("another digest");
  }
  SetCounters(*image, &state);
}

void BM_DeriveSnapshot(State& state) {
  const IntentSpec intent =
      MakeIntent(static_cast<uint32_t>(state.range(0)), static_cast<uint32_t>(state.range(1)));
  const Observations observations = OfflineObservations(intent);
  const Result<SnapshotImage> image = BuildSnapshot(DeriveSnapshot(intent, 1, observations));
  if (!HasAll(image, state)) return state.SkipWithError("the image is wrong");
  for (auto _ : state) {
    benchmark::DoNotOptimize(DeriveSnapshot(intent, 1, observations).services.data());
  }
  SetCounters(*image, &state);
}

void BM_ValidateIntent(State& state) {
  const IntentSpec intent =
      MakeIntent(static_cast<uint32_t>(state.range(0)), static_cast<uint32_t>(state.range(1)));
  for (auto _ : state) {
    if (!ValidateIntent(intent).ok()) return state.SkipWithError("refused");
  }
}

void Sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"services", "backends"})->Unit(benchmark::kMicrosecond);
  bench->Args({1, 4})->Args({1, 1000})->Args({100, 10})->Args({1000, 100});
}

BENCHMARK(BM_ValidateSnapshot)->Apply(Sizes);
BENCHMARK(BM_SnapshotDigest)->Apply(Sizes);
BENCHMARK(BM_BuildSnapshot)->Apply(Sizes);
BENCHMARK(BM_DeriveSnapshot)->Apply(Sizes);
BENCHMARK(BM_ValidateIntent)->Apply(Sizes);

}  // namespace
}  // namespace fairlead

BENCHMARK_MAIN();
