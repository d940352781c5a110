#include "bench/pcc/scenario.h"

#include <algorithm>

namespace fairlead::pcc {
namespace {

Scenario Base(const std::string& name, const std::string& text, uint64_t seed,
              uint32_t change_interval_ms) {
  Scenario scenario;
  scenario.name = name;
  scenario.text = text;
  scenario.seed = seed;
  scenario.churn.kind = ChurnKind::kMixed;
  scenario.churn.interval_ms = change_interval_ms;
  return scenario;
}

Scenario Steady(const std::string& name, const std::string& text, uint64_t seed,
                uint32_t change_interval_ms, double broken, double ratio) {
  Scenario scenario = Base(name, text, seed, change_interval_ms);
  scenario.goals.broken = broken;
  scenario.goals.records_ratio = ratio;
  return scenario;
}

// Four balancers, a change each 10 s, one balancer lost each 60 s for 30 s.
Scenario Group(const std::string& name, const std::string& text, uint64_t seed, bool full_rehash) {
  Scenario scenario = Base(name, text, seed, 10'000);
  scenario.balancers = 4;
  scenario.second_chance = true;
  scenario.records /= 4;
  scenario.loss.interval_s = 60;
  scenario.loss.full_rehash = full_rehash;
  if (full_rehash) scenario.goals.broken_with_agent = 0.0002;
  return scenario;
}

// Tables with about 1.3 records for each live flow, and 100,000 spoofed SYNs a second.
void Flood(Scenario* scenario) {
  scenario->syn_flood_per_s = 100'000;
  scenario->records = 65'536 / scenario->balancers;
  scenario->duration_s = 600;
  scenario->second_chance = true;
}

}  // namespace

std::vector<Scenario> AllScenarios() {
  std::vector<Scenario> all;
  all.push_back(Steady("change-20s", "one change each 20 s", 101, 20'000, 0.00005, 15));
  all.push_back(Steady("change-2s", "one change each 2 s", 102, 2'000, 0.0003, 3));

  all.push_back(
      Group("lost", "a change each 10 s; of four balancers one lost each 60 s", 103, false));
  all.push_back(Group("lost-rehash", "the same, and ECMP rehashes all flows", 104, true));
  all.push_back(Group("lost-empty", "the same; the balancer comes back empty", 105, true));
  all.back().loss.comes_back_empty = true;
  all.back().goals.broken_with_agent_today = 0.012;

  all.push_back(Base("flood", "a change each 10 s, 100k SYN/s, small table", 106, 10'000));
  Flood(&all.back());
  all.back().goals.broken = 0.0002;
  all.push_back(Group("flood-lost", "the same, four balancers, one lost each 60 s", 107, false));
  Flood(&all.back());
  all.push_back(Group("flood-lost-rehash", "the same, and ECMP rehashes all flows", 108, true));
  Flood(&all.back());

  all.push_back(Base("idle", "a change each 10 s; 10 % of the flows idle", 109, 10'000));
  all.back().flows.idle_share = 0.10;
  all.back().flows.arrivals_per_s = 250;  // idle flows live long

  all.push_back(Base("flaps", "each 5 s a backend is down for 4 to 15 s", 110, 5'000));
  all.back().churn.kind = ChurnKind::kFlaps;
  all.push_back(Base("rolling", "all backends replaced, one each 2 s", 111, 2'000));
  all.back().churn.kind = ChurnKind::kRolling;

  all.push_back(
      Base("sleepers", "a change each 10 s; 1 % of the flows silent for 6 to 20 min", 112, 10'000));
  all.back().flows.sleeping_share = 0.01;
  all.back().second_chance = true;
  // No goal was asked for: it shows what the idle timeout means.
  all.back().goals.never_worse_than_lru = false;
  return all;
}

std::vector<Scenario> QuickScenarios() {
  std::vector<Scenario> all = AllScenarios();
  for (Scenario& scenario : all) {
    scenario.duration_s = 80;
    scenario.idle_timeout_s = 20;
    scenario.records = std::max<uint64_t>(scenario.records / 16, 4096);
    scenario.syn_flood_per_s /= 16;
    scenario.flows.arrivals_per_s /= 8;
    scenario.flows.duration_max_s = 600;
    scenario.flows.keepalive_min_s = 5;
    scenario.flows.keepalive_max_s = 15;
    scenario.flows.sleep_min_s = 22;
    scenario.flows.sleep_max_s = 60;
    scenario.churn.drain_ms = 20'000;
    if (scenario.loss.interval_s != 0) {
      scenario.loss.interval_s = 10;
      scenario.loss.away_s = 5;
    }
    scenario.goals.records_ratio.reset();
    scenario.goals.broken_with_agent.reset();
  }
  return all;
}

}  // namespace fairlead::pcc
