// The cost of choosing a packet's backend: hash, frontend, slot, flow record, and all of them
// together (SelectBackend). Also the cost of building a table. One core.
//
// Each row first checks its results. If they are wrong, it reports an error and no figure. `s/op`
// is the time of one operation. Operations go over the working set in random order, like packets of
// as many flows. The working sets range from what stays in L1 to what comes from memory (on huge
// pages if the kernel gives them, as for the dataplane's flow table).
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include "lib/flow/flow_hash.h"
#include "lib/flow/flow_table.h"
#include "lib/maglev/maglev_table.h"
#include "lib/net/headers.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/view.h"
#include "lib/table/forwarding_tables.h"
#include "lib/table/select.h"

namespace fairlead {
namespace {

using benchmark::State;

constexpr size_t kBurst = 32;
constexpr uint64_t kSeed = 0x5eed;
constexpr uint32_t kIdle = 1400;
constexpr uint32_t kNow = 100'000;

void ReportPerOp(State& state, uint64_t operations) {
  state.SetItemsProcessed(static_cast<int64_t>(operations));
  state.counters["s/op"] = benchmark::Counter(
      static_cast<double>(operations), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// Times `operation` on all of `items`, repeatedly.
template <typename Item, typename Operation>
void TimeAll(State& state, const std::vector<Item>& items, Operation operation) {
  uint64_t operations = 0;
  for (auto _ : state) {
    for (const Item& item : items) benchmark::DoNotOptimize(operation(item));
    operations += items.size();
  }
  ReportPerOp(state, operations);
}

IpAddress V4(uint32_t number) {
  const uint8_t bytes[4] = {static_cast<uint8_t>(number >> 24), static_cast<uint8_t>(number >> 16),
                            static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
  return IpAddress::FromV4(bytes);
}
IpAddress V6(uint64_t number) {
  uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};
  for (size_t i = 0; i < 8; ++i) bytes[15 - i] = static_cast<uint8_t>(number >> (8 * i));
  return IpAddress::FromV6(bytes);
}

// `count` clients' flows to one frontend.
std::vector<FlowKey> Keys(size_t count, bool v6) {
  std::mt19937_64 random(1);
  std::vector<FlowKey> keys;
  keys.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t client = random();
    const auto port = static_cast<uint16_t>(random() % 64000 + 1024);
    keys.push_back(v6 ? FlowKey::Make(V6(client), port, V6(10), 80, kIpProtoTcp)
                      : FlowKey::Make(V4(static_cast<uint32_t>(client)), port, V4(0xcb00710a), 80,
                                      kIpProtoTcp));
  }
  return keys;
}

std::vector<FlowHash> Hashes(size_t count) {
  std::mt19937_64 random(2);
  std::vector<FlowHash> hashes(count);
  for (FlowHash& hash : hashes) hash = {random(), random()};
  return hashes;
}

// ---- hash

// Throughput with independent keys, as in a burst.
void HashKeys(State& state, bool v6, HashPolicy policy) {
  const std::vector<FlowKey> keys = Keys(static_cast<size_t>(state.range(0)), v6);
  if (HashFlow(keys[0], policy, kSeed).low >> 32 !=
          HashFlow(ReduceKey(keys[0], policy), kSeed).low >> 32 ||
      HashFlow(keys[0], policy, kSeed) == HashFlow(keys[1], policy, kSeed)) {
    state.SkipWithError("wrong hash");
    return;
  }
  TimeAll(state, keys, [&](const FlowKey& key) { return HashFlow(key, policy, kSeed); });
}
BENCHMARK_CAPTURE(HashKeys, v4_5_tuple, false, HashPolicy::kFiveTuple)->Arg(32)->Arg(65536);
BENCHMARK_CAPTURE(HashKeys, v4_3_tuple, false, HashPolicy::kThreeTuple)->Arg(32);
BENCHMARK_CAPTURE(HashKeys, v6_5_tuple, true, HashPolicy::kFiveTuple)->Arg(32)->Arg(65536);
BENCHMARK_CAPTURE(HashKeys, v6_3_tuple, true, HashPolicy::kThreeTuple)->Arg(32);

// ---- tables

struct Tables {
  std::unique_ptr<ForwardingTables> tables;
  std::vector<FlowKey> hits;  // one for each service
  std::vector<FlowKey> hits_v6;
};

// Each service has its own address; the tracking is for TCP.
Tables MakeTables(uint32_t services, uint32_t backends, uint32_t slots, Tracking tracking) {
  SnapshotInput input{.generation = 1, .hash_seed = kSeed, .services = {}};
  Tables made;
  for (uint32_t s = 0; s < services; ++s) {
    SnapshotService service;
    service.id = s + 1;
    service.name = "s" + std::to_string(100000 + s);  // names sort in the order of the ids
    service.frontends = {{V4(0xcb007100 + s), 80, Protocol::kTcp},
                         {V6(0x1000 + s), 80, Protocol::kTcp}};
    service.slot_count = slots;
    service.tracking_tcp = tracking;
    for (uint32_t b = 0; b < backends; ++b) {
      SnapshotBackend backend;
      backend.id = s * backends + b + 1;
      backend.endpoint.address = V4(0x0a000001 + b);
      service.backends.push_back(backend);
    }
    input.services.push_back(std::move(service));
    made.hits.push_back(FlowKey::Make(V4(0xc6336407), 40000, V4(0xcb007100 + s), 80, kIpProtoTcp));
    made.hits_v6.push_back(FlowKey::Make(V6(7), 40000, V6(0x1000 + s), 80, kIpProtoTcp));
  }
  CounterIndices backend_indices(services * backends);
  CounterIndices service_indices(services);
  const SnapshotImage image = BuildSnapshot(input).value();
  made.tables = ForwardingTables::Build(SnapshotView(image.bytes()), {}, {}, &backend_indices,
                                        &service_indices, nullptr)
                    .value();
  return made;
}

// One service of 100 backends, of which `drained` have begun to drain. The slots that they had
// shift: a hundredth of all slots for each backend.
std::unique_ptr<ForwardingTables> MakeShiftingTables(uint32_t drained) {
  CounterIndices backend_indices(400);
  CounterIndices service_indices(1);
  std::unique_ptr<ForwardingTables> tables;
  for (const uint64_t generation : {1U, 2U}) {
    SnapshotService service;
    service.id = 1;
    service.name = "web";
    service.frontends = {{V4(0xcb007100), 80, Protocol::kTcp}};
    service.tracking_tcp = Tracking::kAdaptive;
    for (uint32_t b = 0; b < 200; ++b) {
      SnapshotBackend backend;
      backend.id = b + 1;
      backend.endpoint.address = V4(0x0a000001 + b);
      // If the first hundred drains as a whole, the second hundred takes over.
      backend.weight = b < 100 || (generation == 2 && drained == 100) ? 1 : 0;
      if (generation == 2 && b < drained) backend.state = BackendState::kDraining;
      service.backends.push_back(backend);
    }
    SnapshotInput input{.generation = generation, .hash_seed = kSeed, .services = {service}};
    const SnapshotImage image = BuildSnapshot(input).value();
    tables = ForwardingTables::Build(SnapshotView(image.bytes()), {tables.get(), kNow}, {},
                                     &backend_indices, &service_indices, nullptr)
                 .value();
  }
  return tables;
}

void FrontendLookup(State& state, bool hit, bool v6) {
  const auto services = static_cast<uint32_t>(state.range(0));
  const Tables made = MakeTables(services, 1, 2, Tracking::kNone);
  const FrontendTable& frontends = made.tables->frontends();
  std::vector<FlowKey> keys;
  std::mt19937 random(3);
  for (int i = 0; i < 4096; ++i) {
    const auto s = static_cast<uint32_t>(random() % services);
    const FlowKey miss =
        v6 ? FlowKey::Make(V6(7), 40000, V6(0x1000 + s), 81, kIpProtoTcp)
           : FlowKey::Make(V4(0xc6336407), 40000, V4(0xcb007100 + s), 81, kIpProtoTcp);
    keys.push_back(!hit ? miss : v6 ? made.hits_v6[s] : made.hits[s]);
    const uint32_t found = frontends.FindDestination(keys.back());
    if (found != (hit ? s : kNoService) || !frontends.HasDestination(keys.back())) {
      state.SkipWithError("wrong service");
      return;
    }
  }
  TimeAll(state, keys, [&](const FlowKey& key) { return frontends.FindDestination(key); });
}
void Services(benchmark::internal::Benchmark* row) {
  row->ArgName("services")->RangeMultiplier(10)->Range(1, 1000);
}
BENCHMARK_CAPTURE(FrontendLookup, hit, true, false)->Apply(Services);
BENCHMARK_CAPTURE(FrontendLookup, miss, false, false)->Apply(Services);
BENCHMARK_CAPTURE(FrontendLookup, v6_hit, true, true)->Apply(Services);
BENCHMARK_CAPTURE(FrontendLookup, v6_miss, false, true)->Apply(Services);

// The lookup of every packet's source address.
void FrontendHasSource(State& state) {
  const Tables made = MakeTables(static_cast<uint32_t>(state.range(0)), 1, 2, Tracking::kNone);
  const FrontendTable& frontends = made.tables->frontends();
  const std::vector<FlowKey> keys = Keys(4096, false);
  if (frontends.HasSource(keys[0]) || !frontends.HasDestination(made.hits[0])) {
    state.SkipWithError("wrong address");
    return;
  }
  TimeAll(state, keys, [&](const FlowKey& key) { return frontends.HasSource(key); });
}
BENCHMARK(FrontendHasSource)->ArgName("services")->Arg(1)->Arg(1000);

// 65537 slots are 256 KB a service.
void SlotLookup(State& state) {
  const auto services = static_cast<uint32_t>(state.range(0));
  const Tables made = MakeTables(services, 100, kDefaultSlotCount, Tracking::kNone);
  const std::vector<FlowHash> hashes = Hashes(65536);
  for (const FlowHash& hash : hashes) {
    if (SlotOwner(made.tables->services()[0], hash) >= 100) {
      state.SkipWithError("wrong owner");
      return;
    }
  }
  TimeAll(state, hashes, [&](const FlowHash& hash) {
    const uint64_t service = (hash.high >> 32) * services >> 32;
    return SlotOwner(made.tables->services()[service], hash);
  });
}
BENCHMARK(SlotLookup)->ArgName("services")->Arg(1)->Arg(10)->Arg(100);

// ---- flow table

// Aligned memory, on huge pages if possible.
class Memory {
 public:
  explicit Memory(size_t bytes) : size_((bytes + kHuge - 1) / kHuge * kHuge) {
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(kHuge, size_)));
    madvise(data_.get(), size_, MADV_HUGEPAGE);
  }
  std::span<std::byte> bytes() { return {data_.get(), size_}; }

 private:
  static constexpr size_t kHuge = size_t{2} << 20;
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  size_t size_;
  std::unique_ptr<std::byte, Free> data_;
};

// A half full table, and the keys in it.
struct FilledTable {
  explicit FilledTable(uint64_t records)
      : memory(FlowTable::BytesNeeded(records)), table(FlowTable::Format(memory.bytes(), records)) {
    for (const FlowHash& hash : Hashes(records / 2)) keys.push_back(RecordKey::Make(hash, {}));
    for (const RecordKey& key : keys) table.Insert(key, {1, kNow, kRecordConfirmed}, kIdle);
  }
  Memory memory;
  FlowTable table;
  std::vector<RecordKey> keys;
};

// Tables are kept from row to row, because filling the largest takes seconds.
FilledTable& TableOf(int64_t records) {
  static std::map<int64_t, std::unique_ptr<FilledTable>> tables;
  auto& table = tables[records];
  if (table == nullptr) table = std::make_unique<FilledTable>(static_cast<uint64_t>(records));
  return *table;
}

enum class Probe { kSingle, kBulk };

// The lookups are independent, so even single ones overlap as far as the core looks ahead. Bulk
// prefetches for a whole burst first.
void FlowFind(State& state, Probe probe, bool hit) {
  FilledTable& filled = TableOf(state.range(0));
  std::vector<RecordKey> keys = filled.keys;
  if (!hit) {
    for (RecordKey& key : keys) key.tag ^= uint64_t{1} << 63;
  }
  FlowTable::Handle handle;
  uint64_t found = 0;
  for (const RecordKey& key : keys) found += filled.table.Find(key, &handle) ? 1 : 0;
  // While a table is half full, nearly no insertion replaces a record.
  if (hit ? found < keys.size() - keys.size() / 1000 : found > 0) {
    state.SkipWithError("wrong number of records found");
    return;
  }
  size_t next = 0;
  for (auto _ : state) {
    const RecordKey* burst = &keys[next];
    if (probe == Probe::kBulk) {
      for (size_t i = 0; i < kBurst; ++i) filled.table.Prefetch(burst[i]);
    }
    for (size_t i = 0; i < kBurst; ++i) {
      benchmark::DoNotOptimize(filled.table.Find(burst[i], &handle));
      benchmark::DoNotOptimize(handle);
    }
    next = next + 2 * kBurst <= keys.size() ? next + kBurst : 0;
  }
  ReportPerOp(state, static_cast<uint64_t>(state.iterations()) * kBurst);
}

// Fills a table from empty to half full, repeatedly. Only the insertions are timed.
void FlowInsert(State& state, Probe probe) {
  const auto records = static_cast<uint64_t>(state.range(0));
  Memory memory(FlowTable::BytesNeeded(records));
  const std::vector<RecordKey>& keys = TableOf(state.range(0)).keys;
  for (auto _ : state) {
    state.PauseTiming();
    FlowTable table = FlowTable::Format(memory.bytes(), records);
    uint64_t stored = 0;
    state.ResumeTiming();
    for (size_t next = 0; next + kBurst <= keys.size(); next += kBurst) {
      if (probe == Probe::kBulk) {
        for (size_t i = 0; i < kBurst; ++i) table.Prefetch(keys[next + i]);
      }
      for (size_t i = 0; i < kBurst; ++i) {
        stored +=
            table.Insert(keys[next + i], {1, kNow, 0}, kIdle) == FlowTable::InsertResult::kStored;
      }
    }
    if (stored < keys.size() - keys.size() / 1000) {
      state.SkipWithError("too few stored");
      return;
    }
  }
  ReportPerOp(state, static_cast<uint64_t>(state.iterations()) * keys.size());
}

// Insertions into a full table of live, confirmed records. Each evicts the oldest of its buckets.
void FlowEvict(State& state) {
  const auto records = static_cast<uint64_t>(state.range(0));
  Memory memory(FlowTable::BytesNeeded(records));
  FlowTable table = FlowTable::Format(memory.bytes(), records);
  std::vector<RecordKey> keys;
  for (const FlowHash& hash : Hashes(records * 4)) keys.push_back(RecordKey::Make(hash, {}));
  for (const RecordKey& key : keys) table.Insert(key, {1, kNow, kRecordConfirmed}, kIdle);
  uint64_t evicted = 0;
  size_t next = 0;
  uint64_t round = 1;
  for (auto _ : state) {
    for (size_t i = 0; i < kBurst; ++i) table.Prefetch(keys[next + i]);
    for (size_t i = 0; i < kBurst; ++i) {
      // A new tag in each round, in the same buckets.
      const RecordKey key{keys[next + i].tag + round, keys[next + i].buckets};
      evicted += table.Insert(key, {1, kNow, kRecordConfirmed}, kIdle) ==
                 FlowTable::InsertResult::kEvicted;
    }
    next += kBurst;
    if (next + kBurst > keys.size()) {
      next = 0;
      ++round;
    }
  }
  const uint64_t operations = static_cast<uint64_t>(state.iterations()) * kBurst;
  if (evicted < operations - operations / 1000) {
    state.SkipWithError("the table was not full");
    return;
  }
  ReportPerOp(state, operations);
}

void Sizes(benchmark::internal::Benchmark* row) {
  row->ArgName("records");
  for (const int64_t records : {1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 24}) row->Arg(records);
}
BENCHMARK_CAPTURE(FlowFind, hit_single, Probe::kSingle, true)->Apply(Sizes);
BENCHMARK_CAPTURE(FlowFind, hit_bulk, Probe::kBulk, true)->Apply(Sizes);
BENCHMARK_CAPTURE(FlowFind, miss_single, Probe::kSingle, false)->Apply(Sizes);
BENCHMARK_CAPTURE(FlowFind, miss_bulk, Probe::kBulk, false)->Apply(Sizes);
BENCHMARK_CAPTURE(FlowInsert, single, Probe::kSingle)->Apply(Sizes);
BENCHMARK_CAPTURE(FlowInsert, bulk, Probe::kBulk)->Apply(Sizes);
BENCHMARK(FlowEvict)->ArgName("records")->Arg(1 << 10)->Arg(1 << 20);

// ---- the choice of a backend

// Does what the select stage does with a burst.
void SelectBurst(const ForwardingTables& tables, const ServiceEntry& service,
                 const FlowHash* hashes, uint32_t tick, FlowTable* flows) {
  const PacketFacts ack{kIpProtoTcp, kTcpAck, true};
  uint32_t words[kBurst];
  for (size_t i = 0; i < kBurst; ++i) PrefetchSlot(service, hashes[i]);
  for (size_t i = 0; i < kBurst; ++i) {
    words[i] = PrefetchRecord(service, hashes[i], kIpProtoTcp, flows);
  }
  for (size_t i = 0; i < kBurst; ++i) {
    benchmark::DoNotOptimize(SelectBackend(tables, service, words[i], hashes[i], ack, tick, flows));
  }
}

enum class Ticks { kConstant, kOneEachRound };

// 100 backends, 65537 slots, `flows` flows. If the service tracks, each flow is recorded already.
// If each round has a new tick, every packet writes to its record.
void Select(State& state, Tracking tracking, Ticks ticks) {
  const Tables made = MakeTables(1, 100, kDefaultSlotCount, tracking);
  const ForwardingTables& tables = *made.tables;
  const ServiceEntry& service = tables.services()[0];
  const std::vector<FlowHash> hashes = Hashes(static_cast<size_t>(state.range(0)));
  Memory memory(FlowTable::BytesNeeded(hashes.size() * 2));
  FlowTable flows = FlowTable::Format(memory.bytes(), hashes.size() * 2);
  const PacketFacts ack{kIpProtoTcp, kTcpAck, true};
  for (const FlowHash& hash : hashes) {
    SelectBackend(tables, service, hash, ack, kNow, &flows);
    const Selection selection = SelectBackend(tables, service, hash, ack, kNow, &flows);
    if (selection.backend_index != SlotOwner(service, hash)) {
      state.SkipWithError("wrong backend");
      return;
    }
  }
  uint32_t tick = kNow;
  size_t next = 0;
  for (auto _ : state) {
    SelectBurst(tables, service, &hashes[next], tick, &flows);
    if (next + 2 * kBurst <= hashes.size()) {
      next += kBurst;
    } else {
      next = 0;
      if (ticks == Ticks::kOneEachRound) ++tick;
    }
  }
  ReportPerOp(state, static_cast<uint64_t>(state.iterations()) * kBurst);
}
void Flows(benchmark::internal::Benchmark* row) {
  row->ArgName("flows");
  for (const int64_t flows : {1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 23}) row->Arg(flows);
}
BENCHMARK_CAPTURE(Select, none, Tracking::kNone, Ticks::kConstant)->Apply(Flows);
BENCHMARK_CAPTURE(Select, all, Tracking::kAll, Ticks::kConstant)->Apply(Flows);
BENCHMARK_CAPTURE(Select, all_touched, Tracking::kAll, Ticks::kOneEachRound)->Apply(Flows);

// The same with adaptive tracking, while no slot, about one in a hundred, or all slots shift. Only
// flows of shifting slots are recorded.
void SelectAdaptive(State& state, uint32_t drained) {
  const std::unique_ptr<ForwardingTables> tables = MakeShiftingTables(drained);
  const ServiceEntry& service = tables->services()[0];
  const double shifting = service.slot_table->shifting_count();
  const double share = shifting / service.slot_table->size();
  if (drained == 0 ? share != 0 : drained == 100 ? share < 0.99 : share < 0.009 || share > 0.02) {
    state.SkipWithError("another share of the slots shifts");
    return;
  }
  const std::vector<FlowHash> hashes = Hashes(static_cast<size_t>(state.range(0)));
  Memory memory(FlowTable::BytesNeeded(hashes.size() * 2));
  FlowTable flows = FlowTable::Format(memory.bytes(), hashes.size() * 2);
  const PacketFacts ack{kIpProtoTcp, kTcpAck, true};
  uint64_t stored = 0;
  for (const FlowHash& hash : hashes) {
    const Selection first = SelectBackend(*tables, service, hash, ack, kNow, &flows);
    const Selection again = SelectBackend(*tables, service, hash, ack, kNow, &flows);
    stored += first.stored ? 1 : 0;
    const Slot slot = Slot::Unpack(SlotAddress(service, hash)->load());
    const uint32_t owner =
        service.first_backend + (slot.state == SlotState::kShifting ? slot.stable : slot.current);
    if (first.backend_index != owner || again.backend_index != owner) {
      state.SkipWithError("wrong backend");
      return;
    }
  }
  uint64_t next = 0;
  for (auto _ : state) {
    SelectBurst(*tables, service, &hashes[next], kNow, &flows);
    next = next + 2 * kBurst <= hashes.size() ? next + kBurst : 0;
  }
  state.counters["records"] = static_cast<double>(stored);
  ReportPerOp(state, static_cast<uint64_t>(state.iterations()) * kBurst);
}
BENCHMARK_CAPTURE(SelectAdaptive, settled, 0)->Apply(Flows);
BENCHMARK_CAPTURE(SelectAdaptive, shifting_1_percent, 1)->Apply(Flows);
BENCHMARK_CAPTURE(SelectAdaptive, shifting_all, 100)->Apply(Flows);

// ---- Maglev

void BuildSlots(State& state, bool weighted) {
  std::mt19937_64 random(4);
  std::vector<MaglevBackend> backends;
  for (int64_t i = 0; i < state.range(0); ++i) {
    const auto weight = static_cast<uint32_t>(weighted ? random() % kMaxWeight + 1 : 1);
    backends.push_back({random(), weight, static_cast<uint16_t>(i)});
  }
  if (BuildMaglev(backends, kDefaultSlotCount, kSeed) !=
      BuildMaglevPlain(backends, kDefaultSlotCount, kSeed)) {
    state.SkipWithError("differs from the plain algorithm");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(BuildMaglev(backends, kDefaultSlotCount, kSeed));
  }
}
BENCHMARK_CAPTURE(BuildSlots, equal, false)
    ->ArgName("backends")
    ->RangeMultiplier(10)
    ->Range(10, 10000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BuildSlots, weighted, true)
    ->ArgName("backends")
    ->RangeMultiplier(10)
    ->Range(10, 10000)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace fairlead

BENCHMARK_MAIN();
