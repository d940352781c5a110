#include "bench/pcc/report.h"

#include <algorithm>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

namespace fairlead::pcc {
namespace {

using nlohmann::ordered_json;

std::string Percent(double share) { return fmt::format("{:.4f}", share * 100); }

double RecordsRatio(const Result& result) {
  const auto ours =
      static_cast<double>(std::max<uint64_t>(result.systems[kFairlead].peak_records, 1));
  return static_cast<double>(result.systems[kLru].peak_records) / ours;
}

ordered_json ToJson(const FinishedRun& run) {
  const Scenario& scenario = run.scenario;
  const Result& result = run.result;
  ordered_json json = {
      {"scenario", scenario.name},
      {"text", scenario.text},
      {"seed", scenario.seed},
      {"duration_s", scenario.duration_s},
      {"balancers", scenario.balancers},
      {"records_per_balancer", scenario.records},
      {"idle_timeout_s", scenario.idle_timeout_s},
      {"backends", scenario.churn.backends},
      {"flows", result.flows},
      {"flows_live_peak", result.flows_live_peak},
      {"packets", result.packets},
      {"flood_packets", result.flood_packets},
      {"changes", result.changes},
      {"flows_lost_with_backend", result.lost_with_backend},
      {"second_chance", scenario.second_chance},
      {"packets_with_candidates_percent", result.ListedShare() * 100},
      {"second_chances", result.second_chances},
      {"records_ratio", RecordsRatio(result)},
      {"wall_s", result.wall_s},
      {"systems", ordered_json::object()},
      {"goals", ordered_json::array()},
  };
  for (const System system : kSystems) {
    const SystemResult& of = result.systems[system];
    json["systems"][std::string(NameOf(system))] = {
        {"broken", of.broken},
        {"broken_percent", result.BrokenShare(system) * 100},
        {"peak_records", of.peak_records},
        {"lookup_percent", result.LookupShare(system) * 100},
        {"evictions", of.evictions},
    };
  }
  for (const GoalResult& verdict : GoalResultsOf(run)) {
    json["goals"].push_back({{"what", verdict.what}, {"reached", verdict.reached}});
  }
  return json;
}

}  // namespace

std::string TextTable(const std::vector<FinishedRun>& runs) {
  std::string text =
      fmt::format("{:<18} {:>9} | {:>9} {:>8} {:>8} {:>8} | {:>9} {:>9} {:>6} | {:>8} | {:>8}\n",
                  "", "", "broken %", "", "", "", "peak", "records", "", "lookup %", "with its");
  text +=
      fmt::format("{:<18} {:>9} | {:>9} {:>8} {:>8} {:>8} | {:>9} {:>9} {:>6} | {:>8} | {:>8}\n",
                  "scenario", "flows", "maglev", "lru", "fairlead", "+agent", "lru", "fairlead",
                  "ratio", "fairlead", "backend");
  for (const FinishedRun& run : runs) {
    const Result& result = run.result;
    text += fmt::format(
        "{:<18} {:>9} | {:>9} {:>8} {:>8} {:>8} | {:>9} {:>9} {:>6.1f} | {:>8.1f} | {:>8}\n",
        run.scenario.name, result.flows, Percent(result.BrokenShare(kMaglev)),
        Percent(result.BrokenShare(kLru)), Percent(result.BrokenShare(kFairlead)),
        Percent(result.BrokenShare(kAgent)), result.systems[kLru].peak_records,
        result.systems[kFairlead].peak_records, RecordsRatio(result),
        result.LookupShare(kFairlead) * 100, result.lost_with_backend);
  }
  return text;
}

std::string Json(const std::vector<FinishedRun>& runs) {
  ordered_json json = ordered_json::array();
  for (const FinishedRun& run : runs) json.push_back(ToJson(run));
  return json.dump(1) + "\n";
}

std::vector<GoalResult> GoalResultsOf(const FinishedRun& run) {
  const Result& result = run.result;
  const Goals& goals = run.scenario.goals;
  std::vector<GoalResult> verdicts;
  const auto at_most = [&](std::string_view who, double share, double goal) {
    verdicts.push_back(
        {fmt::format("{}: {} % broken, at most {} %", who, Percent(share), Percent(goal)),
         share <= goal});
  };
  if (goals.broken) at_most("fairlead", result.BrokenShare(kFairlead), *goals.broken);
  if (goals.broken_with_agent) {
    at_most("fairlead with agent", result.BrokenShare(kAgent), *goals.broken_with_agent);
    verdicts.back().known_miss = !verdicts.back().reached && goals.broken_with_agent_today &&
                                 result.BrokenShare(kAgent) <= *goals.broken_with_agent_today;
  }
  if (goals.records_ratio) {
    verdicts.push_back({fmt::format("peak records: {:.1f} times fewer than lru, at least {:.0f}",
                                    RecordsRatio(result), *goals.records_ratio),
                        RecordsRatio(result) >= *goals.records_ratio});
  }
  if (goals.never_worse_than_lru) {
    at_most("fairlead with agent against lru", result.BrokenShare(kAgent),
            result.BrokenShare(kLru));
  }
  return verdicts;
}

}  // namespace fairlead::pcc
