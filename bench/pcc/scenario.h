// What is simulated. The scenarios of docs/survival.md are the list in scenario.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/pcc/churn.h"
#include "bench/pcc/traffic.h"

namespace fairlead::pcc {

// Each interval one of the group's balancers, in turn, is gone for a while.
struct LossModel {
  uint32_t interval_s = 0;  // 0: none is lost
  uint32_t away_s = 30;
  bool full_rehash = false;
  // Comes back with nothing. Else as after kill -9 and restart: with its flow records, and the slot
  // states and former owners that lie in files. (The LRU baseline keeps its table likewise.)
  bool comes_back_empty = false;
};

// What the issue asks of a scenario. Shares are of all flows.
struct Goals {
  std::optional<double> broken;             // at most, Fairlead alone
  std::optional<double> broken_with_agent;  // at most
  // Where that is not reached, and docs/survival.md says why: what it stays below instead.
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
  uint64_t records = 1 << 20;  // a balancer, Fairlead's and the LRU's
  uint32_t slots = 65537;
  uint32_t idle_timeout_s = 350;
  bool second_chance = false;    // asked of the service: packets carry lists of candidates
  uint32_t syn_flood_per_s = 0;  // spoofed; each is heard of once
  Goals goals;
};

std::vector<Scenario> AllScenarios();
// The same, cut down to seconds: fewer flows, a shorter idle timeout and run. Goals that depend on
// these are left out.
std::vector<Scenario> QuickScenarios();

}  // namespace fairlead::pcc
