// Runs all systems with the same flows, packets and changes.
//
//   maglev          stateless: the slot's owner, by Fairlead's BuildMaglev. No table.
//   lru             the same choice for the first packet of a flow, an LRU table for the rest (one
//                   for each balancer)
//   fairlead        slot states and flow table
//   fairlead+agent  the same balancers, and agents on the backends that send packets on
//
// A flow begins at the same backend in all systems: the slot's current owner. It is broken in a
// system if a later packet reaches another backend although the first backend is in service. It is
// lost with its backend, in all systems, if it sends while the first backend is down or removed. A
// broken flow goes on sending, so that all systems have the same load. It counts once.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "bench/pcc/balancer.h"
#include "bench/pcc/baseline_lru.h"
#include "bench/pcc/fleet.h"
#include "bench/pcc/group.h"
#include "bench/pcc/traffic.h"

namespace fairlead::pcc {

enum System : uint8_t { kMaglev, kLru, kFairlead, kAgent };
inline constexpr System kSystems[] = {kMaglev, kLru, kFairlead, kAgent};
std::string_view NameOf(System system);

struct SystemResult {
  uint64_t broken = 0;
  uint64_t peak_records = 0;  // of all balancers together, as the sweeps see them
  uint64_t lookups = 0;       // packets of flows that needed a table lookup
  uint64_t evictions = 0;     // of live records
};

struct Result {
  uint64_t flows = 0;
  uint64_t flows_live_peak = 0;
  uint64_t packets = 0;        // of flows
  uint64_t flood_packets = 0;  // not part of `packets`
  uint64_t lost_with_backend = 0;
  uint64_t changes = 0;
  uint64_t listed = 0;          // packets of flows that carry other candidates
  uint64_t second_chances = 0;  // of these, those that an agent sent on
  double wall_s = 0;
  std::array<SystemResult, std::size(kSystems)> systems;

  double BrokenShare(System system) const;
  double LookupShare(System system) const;
  double ListedShare() const;
};

class Contest {
 public:
  struct Setup {
    uint32_t balancers = 1;
    uint64_t records = 4096;  // of each balancer, Fairlead's and the LRU's
    uint32_t slots = 65537;
    uint32_t idle_timeout_s = 350;
    bool full_rehash = false;
    bool second_chance = false;  // packets carry lists of candidates
  };
  // REQUIRES that `fleet` outlives the contest.
  Contest(const Setup& setup, const Fleet* fleet);

  // Publishes the fleet to all balancers that are not away.
  void Publish(uint32_t now_tick);
  // Lose: the router and the control plane lose a balancer. Return: it is back, with its state or
  // `empty`.
  void Lose(uint32_t balancer);
  void Return(uint32_t balancer, bool empty, uint32_t now_tick);

  // Adds a flow whose first packet was before the contest.
  void Admit(Flow* flow, uint32_t now_tick);
  // False: the flow has ended with its backend.
  bool OnPacket(Flow* flow, PacketKind kind, uint32_t now_tick);
  // A SYN of a sender that sends nothing else.
  void OnSpoofedSyn(const FlowHash& hash, uint32_t now_tick);
  void Sweep(uint32_t now_tick);

  uint32_t BalancerOf(const FlowHash& hash) const { return ecmp_.Pick(hash); }
  uint32_t MaglevChoice(const FlowHash& hash) const;
  Result& result() { return result_; }

 private:
  SnapshotImage Snapshot(Tracking tracking) const;
  uint32_t LruChoice(uint32_t balancer, const FlowHash& hash, PacketKind kind, uint32_t now_tick);
  void Judge(Flow* flow, System system, uint32_t backend_id);
  void JudgeAgent(Flow* flow, PacketKind kind, uint32_t balancer, const Balancer::Answer& answer);

  const Setup setup_;
  const Fleet* fleet_;
  Ecmp ecmp_;
  // Without tracking, the real code is a stateless Maglev. It decides for both baselines.
  Balancer stateless_;
  std::vector<std::unique_ptr<Balancer>> balancers_;
  std::vector<LruTable> lru_;
  std::vector<bool> away_;
  Result result_;
};

}  // namespace fairlead::pcc
