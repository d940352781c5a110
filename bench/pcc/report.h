// What the runs say, for people and for programs, and whether it is what was asked.
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

// One line a scenario.
std::string TextTable(const std::vector<FinishedRun>& runs);
std::string Json(const std::vector<FinishedRun>& runs);

// One goal, or an invariant that every run must have, and what became of it.
struct Verdict {
  std::string what;
  bool reached = false;
  bool known_miss = false;  // not reached, but no worse than docs/survival.md says
};
std::vector<Verdict> VerdictsOf(const FinishedRun& run);

}  // namespace fairlead::pcc
