// Brings snapshots into force: builds tables, publishes one pointer, waits for the workers, frees
// the old tables. Management thread only. The workers see only the pointer.
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

class TablePublisher {
 public:
  struct Environment {
    std::atomic<const ForwardingTables*>* published;  // the workers read it
    GracePeriods* grace;
    std::vector<EgressPort> ports;
    // Zeroes the counters with this index in every worker. Called when no worker uses them.
    std::function<void(uint32_t counter_index)> reset_backend;
    std::function<void(uint32_t counter_index)> reset_service;
    // May be empty. Called before tables are in force with which workers access the flow table. If
    // it fails, the tables are not published.
    std::function<Status()> make_flow_table;
    // All three may be empty. `admit_steering` is called before an image's tables are in force. It
    // prepares the ports' steering, and may refuse the image. Then `undo_steering` undoes that. Its
    // argument is the image that stays in force; null: none. `after_publish` is called when all
    // workers use the tables.
    std::function<Status(const SnapshotView&)> admit_steering;
    std::function<void(const SnapshotView* in_force)> undo_steering;
    std::function<void(const SnapshotView&)> after_publish;
    // Called with the tables that are about to be published, and those in force (may be null).
    std::function<void(const ForwardingTables& next, const ForwardingTables* previous)> save;
    std::vector<SavedSlots> saved;     // saved by an earlier process, for the first tables
    uint32_t grace_timeout_ms = 5000;  // time for all workers to pass a quiescent state
  };

  explicit TablePublisher(Environment environment);
  // REQUIRES that no worker runs.
  ~TablePublisher();
  TablePublisher(const TablePublisher&) = delete;
  TablePublisher& operator=(const TablePublisher&) = delete;

  struct Outcome {
    uint64_t generation = 0;
    uint64_t apply_us = 0;  // from the call to the last worker's quiescent state
    ForwardingTables::BuildStats build;
  };

  // Brings the image into force in all workers. On failure the old tables stay in force, with one
  // exception. kUnavailable means that the tables were replaced, but some worker has not passed a
  // quiescent state within `grace_timeout_ms`. `now_tick`: when slots whose owner changes begin to
  // shift. `difference`: between the image in force and this one; null: unknown.
  Result<Outcome> Publish(SnapshotImage image, uint32_t now_tick,
                          const SnapshotDifference* difference = nullptr);

  // Null until the first snapshot.
  const ForwardingTables* tables() const { return tables_.get(); }
  // The image in force; empty until the first.
  std::span<const std::byte> image() const { return image_.bytes(); }
  // The previous image's memory, for the next image.
  std::vector<uint64_t> TakeSpareMemory() { return std::move(spare_); }

 private:
  // Tables that a slow worker may still be reading.
  struct Retired {
    std::unique_ptr<ForwardingTables> tables;
    uint64_t period;
  };

  // Builds the tables, makes the flow table if they need it, and prepares the steering. kResourceExhausted: there is not enough memory.
  Result<std::unique_ptr<ForwardingTables>> BuildAndAdmit(const SnapshotView& view,
                                                          const ForwardingTables::Past& past,
                                                          ForwardingTables::BuildStats* stats);
  Status Admit(const SnapshotView& snapshot) const;
  void Withdraw() const;
  void NotifyInForce() const;
  bool AwaitGrace(uint64_t period);
  void ReleaseCounters();
  void ReclaimRetired();

  Environment environment_;
  CounterIndices backend_indices_;
  CounterIndices service_indices_;
  std::unique_ptr<ForwardingTables> tables_;
  SnapshotImage image_;
  std::vector<uint64_t> spare_;  // the previous image's memory
  ForwardingTables::Memory spare_tables_;
  std::vector<Retired> retired_;
};

}  // namespace fairlead
