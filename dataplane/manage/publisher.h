// Brings snapshots into force: validate, build, publish one pointer, wait for the workers, free
// what was before. Management thread only; the workers see nothing but the pointer.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/worker/grace.h"
#include "lib/base/result.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/view.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

class Publisher {
 public:
  struct Environment {
    std::atomic<const ForwardingTables*>* published;  // what the workers read
    GracePeriods* grace;
    std::vector<EgressPort> ports;
    // Zeroes a counter slot in every worker. Called when no worker uses it.
    std::function<void(uint32_t slot)> reset_backend;
    std::function<void(uint32_t slot)> reset_service;
    // May be empty. Called before tables are in force under which a worker may look into the flow
    // table; what it refuses is not published.
    std::function<Status()> need_flows;
    // All may be empty. `admit` is called before an image's tables are in force, and may refuse it:
    // then `withdraw`, with the image that stays in force (null: none), undoes what it has begun.
    // `settle`: once workers use them.
    std::function<Status(const SnapshotView&)> admit;
    std::function<void(const SnapshotView* in_force)> withdraw;
    std::function<void(const SnapshotView&)> settle;
    // Called with the tables that are about to be published, and those in force (may be null).
    std::function<void(const ForwardingTables& next, const ForwardingTables* previous)> save;
    std::vector<SavedSlots> saved;  // what an earlier process saved, for the first tables
    uint32_t patience_ms = 5000;    // for the workers to pass a quiescent state
  };

  explicit Publisher(Environment environment);
  // REQUIRES that no worker runs.
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  struct Outcome {
    uint64_t generation = 0;
    uint64_t apply_us = 0;  // from the call to the last worker's quiescent state
    ForwardingTables::BuildStats build;
  };

  // Puts the image in force in all workers. On failure the tables that were in force stay, with one
  // exception: kUnavailable means that they were replaced, but some worker has not taken notice
  // within the environment's patience. `now_tick`: when slots whose owner changes begin to shift.
  // `difference`: of the image in force and this one; null: it is not known.
  Result<Outcome> Publish(SnapshotImage image, uint32_t now_tick,
                          const SnapshotDifference* difference = nullptr);

  // Null until the first snapshot.
  const ForwardingTables* tables() const { return tables_.get(); }
  // The image in force; empty until the first.
  std::span<const std::byte> image() const { return image_.bytes(); }
  // Of the image before, for the next.
  std::vector<uint64_t> TakeSpareMemory() { return std::move(spare_); }

 private:
  // Tables that a slow worker may still be reading.
  struct Retired {
    std::unique_ptr<ForwardingTables> tables;
    uint64_t period;
  };

  // Tables that may be put in force; kResourceExhausted where there is no memory for them.
  Result<std::unique_ptr<ForwardingTables>> Prepare(const SnapshotView& view,
                                                    const ForwardingTables::Past& past,
                                                    ForwardingTables::BuildStats* stats);
  Status Admit(const SnapshotView& snapshot) const;
  void Withdraw() const;
  void Settle() const;
  bool AwaitGrace(uint64_t period);
  void ReleaseCounters();
  void ReclaimRetired();

  Environment environment_;
  CounterSlots backend_slots_;
  CounterSlots service_slots_;
  std::unique_ptr<ForwardingTables> tables_;
  SnapshotImage image_;
  std::vector<uint64_t> spare_;  // memory of the image before
  ForwardingTables::Memory spare_tables_;
  std::vector<Retired> retired_;
};

}  // namespace fairlead
