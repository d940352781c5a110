// One balancer with Fairlead's own code: tables, slot states, flow table, sweep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "bench/pcc/agent.h"
#include "lib/flow/flow_table.h"
#include "lib/snapshot/builder.h"
#include "lib/table/forwarding_tables.h"
#include "lib/table/select.h"
#include "lib/table/sweeper.h"

namespace fairlead::pcc {

class Balancer {
 public:
  explicit Balancer(uint64_t records, const ListPolicy& list_policy = {});

  void Publish(const SnapshotImage& image, uint32_t now_tick);
  // As after a restart that found nothing to take up: no records, and slots that have no past.
  void Forget();

  struct Answer {
    uint32_t backend_id = 0;  // 0: nobody may serve
    bool looked_up = false;   // the flow table was asked
    bool evicted = false;
  };
  Answer Select(const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick);

  // What the packet that Select gave to `chosen` carries for the agent.
  Candidates CandidatesOf(const FlowHash& hash, uint32_t chosen, uint32_t now_tick) const;

  void Sweep(uint32_t now_tick);
  uint64_t records() const { return sweeper_.records(); }  // of the last sweep
  const ForwardingTables& tables() const { return *tables_; }

 private:
  struct Block {
    alignas(64) std::byte bytes[64];
  };

  uint32_t IdOf(const ForwardingTables& tables, uint16_t owner) const;
  void Remember(const ForwardingTables& next, uint32_t now_tick);

  const ListPolicy list_policy_;
  std::vector<Block> memory_;
  uint64_t capacity_;
  FlowTable flows_;
  Sweeper sweeper_;
  CounterSlots backend_slots_;
  CounterSlots service_slots_;
  std::unique_ptr<ForwardingTables> tables_;
  SlotHistory history_;
};

}  // namespace fairlead::pcc
