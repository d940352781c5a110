// Walks the flow table: erases what has no more use, counts what is left, per backend and per slot,
// and lets slots return to settled. In slices, so that its caller can answer others in between.
// Management thread; the simulator.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/flow/flow_table.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

// Records of one backend.
struct BackendRecords {
  uint64_t flows = 0;  // live ones, closing ones included; none while the backend is down
  uint64_t pins = 0;   // those of slots that have another owner now: they hold the slot pinned
};

class Sweeper {
 public:
  // Buckets of one slice: about a millisecond.
  static constexpr uint64_t kSliceBuckets = 16384;

  explicit Sweeper(FlowTable* flows) : flows_(flows) {}

  // Begins a pass. `tables` must stay as they are until it ends; begin again when they change.
  // Without tables (null) nobody knows yet what a record is worth: there is no pass. `any_records`
  // false: nothing was ever recorded, the flow table is not looked at.
  // REQUIRES a pause between passes (SlotTable::BeginCount).
  void Begin(const ForwardingTables* tables, uint32_t now_tick, bool any_records = true);
  bool is_running() const { return running_; }
  // Gives the pass up; `tables` may go.
  void Stop() { running_ = false; }

  // One slice. True when that ended the pass: the counts below are new, and slots that no record
  // disagrees with are settled.
  bool Step(uint32_t now_tick);

  // Slots that changed their state at the end of the last pass: true if there were any.
  bool slots_changed() const { return slots_changed_; }

  // Of the last pass that ended.
  uint64_t records() const { return records_; }
  uint64_t pins() const { return pins_; }
  BackendRecords RecordsOf(uint32_t backend_counter_slot) const {
    return backend_counter_slot < by_backend_.size() ? by_backend_[backend_counter_slot]
                                                     : BackendRecords{};
  }

 private:
  void Visit(uint32_t bucket, uint32_t index, uint64_t tag, const FlowRecord& record,
             uint32_t now_tick);
  void End();

  FlowTable* flows_;
  const ForwardingTables* tables_ = nullptr;
  bool running_ = false;
  bool slots_changed_ = false;
  uint64_t next_bucket_ = 0;
  std::vector<BackendRecords> counting_;
  std::vector<BackendRecords> by_backend_;  // by backend counter slot
  uint64_t records_ = 0;
  uint64_t pins_ = 0;
};

}  // namespace fairlead
