// The results of the runs, for people and for programs, and whether they reach the goals.
#pragma once

#include <string>
#include <vector>

#include "bench/pcc/contest.h"
#include "bench/pcc/scenario.h"

namespace fairlead::pcc {

struct FinishedRun {
  Scenario scenario;
  Result result;
};

// One line for each scenario.
std::string TextTable(const std::vector<FinishedRun>& runs);
std::string Json(const std::vector<FinishedRun>& runs);

// One goal, or an invariant of every run, and whether it was reached.
struct GoalResult {
  std::string what;
  bool reached = false;
  bool known_miss = false;  // not reached, but no worse than docs/survival.md says
};
std::vector<GoalResult> GoalResultsOf(const FinishedRun& run);

}  // namespace fairlead::pcc
