#include "dataplane/manage/publisher.h"

#include <chrono>
#include <new>
#include <optional>
#include <thread>
#include <unordered_set>

#include "dataplane/manage/left_out_log.h"
#include "dataplane/pipeline/counters.h"
#include "lib/snapshot/view.h"

namespace fairlead {
namespace {

using SteadyClock = std::chrono::steady_clock;

uint64_t MicrosecondsSince(SteadyClock::time_point start) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - start).count());
}

}  // namespace

Publisher::Publisher(Environment environment)
    : environment_(std::move(environment)),
      backend_slots_(kBackendCounterSlots),
      service_slots_(kServiceCounterSlots) {}

Publisher::~Publisher() { environment_.published->store(nullptr, std::memory_order_release); }

Result<std::unique_ptr<ForwardingTables>> Publisher::Prepare(const SnapshotView& view,
                                                             const ForwardingTables::Past& past,
                                                             ForwardingTables::BuildStats* stats) {
  bool admitting = false;
  try {
    ASSIGN_OR_RETURN(std::unique_ptr<ForwardingTables> built,
                     ForwardingTables::Build(view, past, environment_.ports, &backend_slots_,
                                             &service_slots_, stats));
    if (environment_.need_flows && built->NeedFlowTable()) {
      RETURN_IF_ERROR(environment_.need_flows());
    }
    admitting = true;
    RETURN_IF_ERROR(Admit(view));
    retired_.reserve(retired_.size() + 1);
    LogLeftOut(view, environment_.ports, *built, tables_.get());
    if (environment_.save) environment_.save(*built, tables_.get());
    return built;
  } catch (const std::bad_alloc&) {
    if (admitting) Withdraw();
    return ResourceExhausted("there is no memory for the new tables; the old ones stay");
  }
}

Result<Publisher::Outcome> Publisher::Publish(SnapshotImage image, uint32_t now_tick,
                                              const SnapshotDifference* difference) {
  const auto start = SteadyClock::now();
  ReclaimRetired();
  const SnapshotView view(image.bytes());
  Outcome outcome;
  outcome.generation = view.header().generation;
  Result<std::unique_ptr<ForwardingTables>> built =
      Prepare(view, {tables_.get(), now_tick, environment_.saved, difference, &spare_tables_},
              &outcome.build);
  if (!built.ok()) {
    ReleaseCounters();  // slots that only the refused tables had
    return built.status();
  }
  environment_.saved = {};
  std::unique_ptr<ForwardingTables> previous = std::move(tables_);
  tables_ = *std::move(built);
  spare_ = std::move(image_).TakeWords();
  image_ = std::move(image);
  environment_.published->store(tables_.get(), std::memory_order_release);

  const uint64_t period = environment_.grace->Begin();
  const bool over = AwaitGrace(period);
  outcome.apply_us = MicrosecondsSince(start);
  // Before anything that may run out of memory: some worker may still be reading it.
  if (!over && previous != nullptr) retired_.push_back({std::move(previous), period});
  Settle();
  if (!over) {
    return Unavailable("generation " + std::to_string(outcome.generation) +
                       " is published, but not every worker has taken it within " +
                       std::to_string(environment_.patience_ms) + " ms");
  }
  if (previous != nullptr) spare_tables_ = std::move(*previous).TakeMemory();
  previous.reset();
  ReleaseCounters();
  return outcome;
}

// The tables are in force already: what this has no memory for is done with the next ones.
void Publisher::Settle() const {
  if (!environment_.settle) return;
  try {
    environment_.settle(SnapshotView(image_.bytes()));
  } catch (const std::bad_alloc&) {
  }
}

Status Publisher::Admit(const SnapshotView& snapshot) const {
  if (!environment_.admit) return {};
  const Status admitted = environment_.admit(snapshot);
  if (!admitted.ok()) Withdraw();
  return admitted;
}

void Publisher::Withdraw() const {
  if (!environment_.withdraw) return;
  std::optional<SnapshotView> in_force;
  if (tables_ != nullptr) in_force.emplace(image_.bytes());
  environment_.withdraw(in_force ? &*in_force : nullptr);
}

bool Publisher::AwaitGrace(uint64_t period) {
  const auto deadline = SteadyClock::now() + std::chrono::milliseconds(environment_.patience_ms);
  while (!environment_.grace->IsOver(period)) {
    if (SteadyClock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  return true;
}

void Publisher::ReleaseCounters() {
  // While old tables may be in use, their slots are too.
  if (!retired_.empty()) return;
  std::span<const BackendEntry> backends;
  std::span<const ServiceEntry> services;
  if (tables_ != nullptr) {
    backends = tables_->backends();
    services = tables_->services();
  }
  // All that is in the tables has a slot: as many slots as that, and nothing else has one.
  if (backend_slots_.size() != backends.size()) {
    const auto is_live = [&](uint32_t id) {
      return tables_ != nullptr && tables_->FindBackend(id) != nullptr;
    };
    for (const uint32_t slot : backend_slots_.Retain(is_live)) environment_.reset_backend(slot);
  }
  if (service_slots_.size() == services.size()) return;
  std::unordered_set<uint32_t> ids;
  for (const ServiceEntry& service : services) ids.insert(service.id);
  const auto is_live = [&](uint32_t id) { return ids.contains(id); };
  for (const uint32_t slot : service_slots_.Retain(is_live)) environment_.reset_service(slot);
}

void Publisher::ReclaimRetired() {
  std::erase_if(retired_, [this](const Retired& retired) {
    return environment_.grace->IsOver(retired.period);
  });
}

}  // namespace fairlead
