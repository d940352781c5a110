// What is simulated. The scenarios of docs/survival.md are the list in scenario.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/pcc/churn.h"
#include "bench/pcc/traffic.h"

namespace fairlead::pcc {

// In each interval one of the group's balancers, in turn, is away for some time.
struct LossModel {
  uint32_t interval_s = 0;  // 0: none is lost
  uint32_t away_s = 30;
  bool full_rehash = false;
  // True: comes back without state. False: comes back as after kill -9 and a restart, with its flow
  // records, and with slot states and former owners from files. The LRU baseline then keeps its
  // table.
  bool comes_back_empty = false;
};

// What the issue asks of a scenario. Shares are of all flows.
struct Goals {
  std::optional<double> broken;             // at most, Fairlead alone
  std::optional<double> broken_with_agent;  // at most
  // If that goal is not reached: what the share stays below instead. docs/survival.md says why.
  std::optional<double> broken_with_agent_today;
  std::optional<double> records_ratio;  // LRU's peak records / Fairlead's, at least
  bool never_worse_than_lru = true;     // with agent
};

struct Scenario {
  std::string name;
  std::string text;  // one line, for the table
  uint64_t seed = 1;
  uint32_t duration_s = 1200;
  FlowModel flows;
  ChurnModel churn;
  LossModel loss;
  uint32_t balancers = 1;
  uint64_t records = 1 << 20;  // of each balancer, Fairlead's and the LRU's
  uint32_t slots = 65537;
  uint32_t idle_timeout_s = 350;
  bool second_chance = false;    // the service's setting: packets carry lists of candidates
  uint32_t syn_flood_per_s = 0;  // spoofed; each source sends one SYN
  Goals goals;
};

std::vector<Scenario> AllScenarios();
// The same scenarios shortened to seconds: fewer flows, a shorter idle timeout and a shorter run.
// They lack the goals that depend on these values.
std::vector<Scenario> QuickScenarios();

}  // namespace fairlead::pcc
