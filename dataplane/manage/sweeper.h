// Walks the flow table: erases what has no more use and counts what is left, per backend. In
// slices, so that the management thread answers in between. Management thread only.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/flow/flow_table.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

class Sweeper {
 public:
  // Buckets of one slice: about a millisecond.
  static constexpr uint64_t kSliceBuckets = 16384;

  explicit Sweeper(FlowTable* flows) : flows_(flows) {}

  // Begins a pass. `tables` and `idle_ticks` (Publisher::sweep_idle_ticks) must stay as they are
  // until it ends; begin again when they change.
  void Begin(const ForwardingTables* tables, std::span<const uint32_t> idle_ticks);
  bool is_running() const { return running_; }

  // One slice. True when that ended the pass: the counts below are new.
  bool Step(uint32_t now_tick);

  // Of the last pass that ended: live records, closing ones included.
  uint64_t records() const { return records_; }
  uint64_t FlowsOf(uint32_t backend_counter_slot) const {
    return backend_counter_slot < flows_by_slot_.size() ? flows_by_slot_[backend_counter_slot] : 0;
  }

 private:
  void Visit(uint32_t bucket, uint32_t index, uint64_t tag, const FlowRecord& record,
             uint32_t now_tick);

  FlowTable* flows_;
  const ForwardingTables* tables_ = nullptr;
  std::span<const uint32_t> idle_ticks_;
  bool running_ = false;
  uint64_t next_bucket_ = 0;
  uint64_t counting_ = 0;
  std::vector<uint64_t> counting_by_slot_;
  uint64_t records_ = 0;
  std::vector<uint64_t> flows_by_slot_;  // by backend counter slot
};

}  // namespace fairlead
