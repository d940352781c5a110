// One balancer with Fairlead's own code: tables, slot states, flow table, sweep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "lib/flow/flow_table.h"
#include "lib/snapshot/builder.h"
#include "lib/table/forwarding_tables.h"
#include "lib/table/select.h"
#include "lib/table/sweeper.h"

namespace fairlead::pcc {

class Balancer {
 public:
  explicit Balancer(uint64_t records);

  void Publish(SnapshotImage image, uint32_t now_tick);
  // As kill -9 and restart: records stay, the last snapshot is loaded again, and of the
  // slots there is what the dataplane writes to its files. REQUIRES that Publish was called.
  void Restart(uint32_t now_tick);
  // As after a restart that found nothing to take up: no records, and slots that have no past.
  void Forget();

  struct Answer {
    uint32_t backend_index = kNoIndex;
    uint32_t backend_id = 0;  // 0: nobody may serve
    bool looked_up = false;   // the flow table was asked
    bool evicted = false;
  };
  Answer Select(const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick);

  // Whom the packet that got `answer` carries for the agents, by id.
  std::vector<uint32_t> CandidatesOf(const FlowHash& hash, const Answer& answer) const;

  void Sweep(uint32_t now_tick);
  uint64_t records() const { return sweeper_.records(); }  // of the last sweep
  const ForwardingTables& tables() const { return *tables_; }

 private:
  void Build(std::span<const SavedSlots> saved, uint32_t now_tick);

  struct Block {
    alignas(64) std::byte bytes[64];
  };

  std::vector<Block> memory_;
  uint64_t capacity_;
  FlowTable flows_;
  Sweeper sweeper_;
  CounterSlots backend_slots_;
  CounterSlots service_slots_;
  std::unique_ptr<ForwardingTables> tables_;
  SnapshotImage image_;                         // the last
  std::unordered_map<uint32_t, uint32_t> ids_;  // by address, as it lies in memory
};

}  // namespace fairlead::pcc
