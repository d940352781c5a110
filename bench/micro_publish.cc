// The management thread's time for a snapshot: copy the received bytes, compare them with the image
// in force and validate what differs, build the tables, put them in force, free the old ones. One
// service has changed (a backend's weight), as in nearly every change.
//
// Each round is checked: the generation, and that only one service was rebuilt.
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "dataplane/manage/table_publisher.h"
#include "dataplane/worker/grace.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/validator.h"

namespace fairlead {
namespace {

using benchmark::State;

// No worker runs: a grace period is over at once. With workers it lasts as long as their longest
// burst, a few microseconds.
class NoWorkers final : public GracePeriods {
 public:
  uint64_t Begin() override { return ++begun_; }
  bool IsOver(uint64_t) override { return true; }

 private:
  uint64_t begun_ = 0;
};

IpAddress V4(uint32_t number) {
  const uint8_t bytes[4] = {static_cast<uint8_t>(number >> 24), static_cast<uint8_t>(number >> 16),
                            static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
  return IpAddress::FromV4(bytes);
}

SnapshotInput MakeInput(uint32_t services, uint32_t backends) {
  SnapshotInput input{.generation = 0, .hash_seed = 42, .services = {}};
  for (uint32_t s = 0; s < services; ++s) {
    SnapshotService service;
    service.id = s + 1;
    service.name = "s" + std::to_string(100'000 + s);
    service.frontends = {{V4(0x64400000 + s), 80, Protocol::kTcp}};
    for (uint32_t b = 0; b < backends; ++b) {
      SnapshotBackend backend;
      const uint32_t number = s * backends + b + 1;
      backend.id = number * 0x9e3779b1;  // spread over the range, as the control plane's ids
      backend.endpoint.address = V4(0x0a000000 + number);
      backend.next_hop = SnapshotNextHop{{{2, 1, 0, 0, 0, 1}}, 0, ""};
      service.backends.push_back(backend);
    }
    input.services.push_back(std::move(service));
  }
  return input;
}

void PublishOneChanged(State& state) {
  const auto services = static_cast<uint32_t>(state.range(0));
  const auto backends = static_cast<uint32_t>(state.range(1));
  std::atomic<const ForwardingTables*> published = nullptr;
  NoWorkers grace;
  TablePublisher::Environment environment;
  environment.published = &published;
  environment.grace = &grace;
  environment.ports = {{"wan", {{2, 0, 0, 0, 0, 1}}}};
  environment.reset_backend = [](uint32_t) {};
  environment.reset_service = [](uint32_t) {};
  TablePublisher publisher(std::move(environment));
  SnapshotInput input = MakeInput(services, backends);
  const auto next = [&] {
    ++input.generation;
    input.services[0].backends[0].weight = static_cast<uint16_t>(1 + input.generation % 2);
    return BuildSnapshot(input).value();
  };
  if (!publisher.Publish(next(), 0).ok()) return state.SkipWithError("the first image is refused");
  for (auto _ : state) {
    state.PauseTiming();
    const SnapshotImage sent = next();
    state.ResumeTiming();
    // As the dataplane does (LoadImageFd): a copy in memory that it has, checked against the image
    // in force.
    std::vector<uint64_t> words = publisher.TakeSpareMemory();
    words.resize(sent.bytes().size() / sizeof(uint64_t));
    std::memcpy(words.data(), sent.bytes().data(), sent.bytes().size());
    SnapshotDifference difference;
    if (!ValidateSnapshotAfter(SnapshotView(publisher.image()), std::as_bytes(std::span(words)),
                               &difference)
             .ok()) {
      return state.SkipWithError("the image is refused");
    }
    const Result<TablePublisher::Outcome> outcome =
        publisher.Publish(SnapshotImage(std::move(words)), 0, &difference);
    if (!outcome.ok() || published.load()->generation() != input.generation) {
      return state.SkipWithError("not in force");
    }
    if (outcome->build.services_rebuilt != 1) {
      return state.SkipWithError("not exactly one service was rebuilt");
    }
  }
}
BENCHMARK(PublishOneChanged)
    ->ArgNames({"services", "backends"})
    ->Args({1, 10})
    ->Args({1, 1000})
    ->Args({1, 10'000})
    ->Args({1000, 1})
    ->Args({1000, 100})
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace fairlead

BENCHMARK_MAIN();
