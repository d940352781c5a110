#include "dataplane/manage/table_publisher.h"

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

TablePublisher::TablePublisher(Environment environment)
    : environment_(std::move(environment)),
      backend_indices_(kMaxBackendCounters),
      service_indices_(kMaxServiceCounters) {}

TablePublisher::~TablePublisher() {
  environment_.published->store(nullptr, std::memory_order_release);
}

Result<std::unique_ptr<ForwardingTables>> TablePublisher::BuildAndAdmit(
    const SnapshotView& view, const ForwardingTables::Past& past,
    ForwardingTables::BuildStats* stats) {
  bool admitting = false;
  try {
    ASSIGN_OR_RETURN(std::unique_ptr<ForwardingTables> built,
                     ForwardingTables::Build(view, past, environment_.ports, &backend_indices_,
                                             &service_indices_, stats));
    if (environment_.make_flow_table && built->NeedFlowTable()) {
      RETURN_IF_ERROR(environment_.make_flow_table());
    }
    admitting = true;
    RETURN_IF_ERROR(Admit(view));
    retired_.reserve(retired_.size() + 1);
    LogLeftOut(view, environment_.ports, *built, tables_.get());
    if (environment_.save) environment_.save(*built, tables_.get());
    return built;
  } catch (const std::bad_alloc&) {
    if (admitting) Withdraw();
    return ResourceExhausted("not enough memory for the new tables; the old tables stay in force");
  }
}

Result<TablePublisher::Outcome> TablePublisher::Publish(SnapshotImage image, uint32_t now_tick,
                                                        const SnapshotDifference* difference) {
  const auto start = SteadyClock::now();
  ReclaimRetired();
  const SnapshotView view(image.bytes());
  Outcome outcome;
  outcome.generation = view.header().generation;
  Result<std::unique_ptr<ForwardingTables>> built =
      BuildAndAdmit(view, {tables_.get(), now_tick, environment_.saved, difference, &spare_tables_},
                    &outcome.build);
  if (!built.ok()) {
    ReleaseCounters();  // counters that only the refused tables have
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
  // First, before anything that can run out of memory: a worker may still read the old tables.
  if (!over && previous != nullptr) retired_.push_back({std::move(previous), period});
  NotifyInForce();
  if (!over) {
    return Unavailable("generation " + std::to_string(outcome.generation) +
                       " is published, but some worker still uses the old tables after " +
                       std::to_string(environment_.grace_timeout_ms) + " ms");
  }
  if (previous != nullptr) spare_tables_ = std::move(*previous).TakeMemory();
  previous.reset();
  ReleaseCounters();
  return outcome;
}

// The tables are in force already. If there is not enough memory here, the next tables catch up.
void TablePublisher::NotifyInForce() const {
  if (!environment_.after_publish) return;
  try {
    environment_.after_publish(SnapshotView(image_.bytes()));
  } catch (const std::bad_alloc&) {
  }
}

Status TablePublisher::Admit(const SnapshotView& snapshot) const {
  if (!environment_.admit_steering) return {};
  const Status admitted = environment_.admit_steering(snapshot);
  if (!admitted.ok()) Withdraw();
  return admitted;
}

void TablePublisher::Withdraw() const {
  if (!environment_.undo_steering) return;
  std::optional<SnapshotView> in_force;
  if (tables_ != nullptr) in_force.emplace(image_.bytes());
  environment_.undo_steering(in_force ? &*in_force : nullptr);
}

bool TablePublisher::AwaitGrace(uint64_t period) {
  const auto deadline =
      SteadyClock::now() + std::chrono::milliseconds(environment_.grace_timeout_ms);
  while (!environment_.grace->IsOver(period)) {
    if (SteadyClock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  return true;
}

void TablePublisher::ReleaseCounters() {
  // While old tables may be in use, their counters are too.
  if (!retired_.empty()) return;
  std::span<const BackendEntry> backends;
  std::span<const ServiceEntry> services;
  if (tables_ != nullptr) {
    backends = tables_->backends();
    services = tables_->services();
  }
  // Everything in the tables has a counter index. If the sizes are equal, nothing else has one.
  if (backend_indices_.size() != backends.size()) {
    const auto is_in_tables = [&](uint32_t id) {
      return tables_ != nullptr && tables_->FindBackend(id) != nullptr;
    };
    for (const uint32_t index : backend_indices_.Retain(is_in_tables))
      environment_.reset_backend(index);
  }
  if (service_indices_.size() == services.size()) return;
  std::unordered_set<uint32_t> ids;
  for (const ServiceEntry& service : services) ids.insert(service.id);
  const auto is_in_tables = [&](uint32_t id) { return ids.contains(id); };
  for (const uint32_t index : service_indices_.Retain(is_in_tables))
    environment_.reset_service(index);
}

void TablePublisher::ReclaimRetired() {
  std::erase_if(retired_, [this](const Retired& retired) {
    return environment_.grace->IsOver(retired.period);
  });
}

}  // namespace fairlead
