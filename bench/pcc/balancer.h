// One balancer that runs Fairlead's code: tables, slot states, flow table, sweep.
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
  // Like kill -9 and a restart: records stay, the last snapshot is loaded again, and the slot
  // states are those that the dataplane writes to its files. REQUIRES that Publish was called.
  void Restart(uint32_t now_tick);
  // Like a restart that found no files: no records, and slots without history.
  void Forget();

  struct Answer {
    uint32_t backend_index = kNoIndex;
    uint32_t backend_id = 0;  // 0: no backend may serve
    bool looked_up = false;   // the flow table was searched
    bool evicted = false;
  };
  Answer Select(const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick);

  // The ids of the candidates that the packet with this `answer` carries for the agents.
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
  CounterIndices backend_indices_;
  CounterIndices service_indices_;
  std::unique_ptr<ForwardingTables> tables_;
  SnapshotImage image_;                         // the last one published
  std::unordered_map<uint32_t, uint32_t> ids_;  // by address in wire order
};

}  // namespace fairlead::pcc
