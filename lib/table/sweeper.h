// Sweeps the flow table: erases records that are no longer needed, counts the others per backend
// and per slot, and advances slot states. It works in slices, so that the caller can do other work
// in between. Management thread, and the simulator.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/flow/flow_table.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

// Record counts of one backend.
struct BackendRecords {
  uint64_t flows = 0;  // live records, including closing ones; 0 while the backend is down
  uint64_t pins = 0;   // of these, records whose slot has another current owner
};

class Sweeper {
 public:
  // Buckets of one slice, which takes about a millisecond.
  static constexpr uint64_t kSliceBuckets = 16384;

  explicit Sweeper(FlowTable* flows) : flows_(flows) {}

  // Begins a sweep. `tables` must stay valid until it ends; call Begin again if they change.
  // Without tables (null) records cannot be judged, so no sweep begins. `any_records` false:
  // nothing was ever recorded, so the flow table is not read. REQUIRES a pause between sweeps
  // (SlotTable::BeginCount).
  void Begin(const ForwardingTables* tables, uint32_t now_tick, bool any_records = true);
  bool is_running() const { return running_; }
  // Aborts the sweep; `tables` may then be freed.
  void Stop() { running_ = false; }

  // Sweeps one slice. True if that ended the sweep: the counts below are new, and slot states have
  // advanced.
  bool Step(uint32_t now_tick);

  // True if any slot changed its state at the end of the last sweep.
  bool slots_changed() const { return slots_changed_; }

  // Counts of the last sweep that ended.
  uint64_t records() const { return records_; }
  uint64_t pins() const { return pins_; }
  BackendRecords RecordsOf(uint32_t backend_counter_index) const {
    return backend_counter_index < by_backend_.size() ? by_backend_[backend_counter_index]
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
  std::vector<BackendRecords> counting_;    // as by_backend_, of the sweep in progress
  std::vector<BackendRecords> by_backend_;  // by backend counter index
  uint64_t records_ = 0;
  uint64_t pins_ = 0;
};

}  // namespace fairlead
