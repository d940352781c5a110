// Simulates how many connections survive changes. docs/survival.md says what is simulated and what
// is not.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "bench/pcc/report.h"
#include "bench/pcc/scenario.h"
#include "bench/pcc/simulation.h"

namespace fairlead::pcc {
namespace {

struct Options {
  bool quick = false;
  bool list = false;
  std::vector<std::string> names;
  std::string json;
};

int Main(const Options& options) {
  std::vector<FinishedRun> runs;
  for (Scenario& scenario : options.quick ? QuickScenarios() : AllScenarios()) {
    const bool wanted =
        options.names.empty() ||
        std::find(options.names.begin(), options.names.end(), scenario.name) != options.names.end();
    if (!wanted) continue;
    if (options.list) {
      std::cout << scenario.name << ": " << scenario.text << "; seed " << scenario.seed << "\n";
      continue;
    }
    const Result result = Simulate(scenario);
    std::cout << scenario.name << ": seed " << scenario.seed << ", " << result.packets
              << " packets, " << result.changes << " changes, " << result.wall_s << " s"
              << std::endl;
    runs.push_back({std::move(scenario), result});
  }
  if (options.list) return 0;
  std::cout << TextTable(runs) << "\n";
  int passed = 0;
  int failed = 0;
  for (const FinishedRun& run : runs) {
    for (const GoalResult& verdict : GoalResultsOf(run)) {
      (verdict.reached || verdict.known_miss ? passed : failed) += 1;
      std::cout << (verdict.reached      ? "reached  "
                    : verdict.known_miss ? "known    "
                                         : "MISSED   ")
                << run.scenario.name << ": " << verdict.what << "\n";
    }
  }
  if (!options.json.empty()) std::ofstream(options.json) << Json(runs);
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed == 0 && passed != 0 ? 0 : 1;
}

}  // namespace
}  // namespace fairlead::pcc

int main(int argc, char** argv) {
  fairlead::pcc::Options options;
  CLI::App app("Simulates flows through changes: Fairlead, stateless Maglev, an LRU table.");
  app.add_flag("--quick", options.quick, "seconds instead of minutes: a smoke test");
  app.add_flag("--list", options.list, "name the scenarios and their seeds");
  app.add_option("--json", options.json, "write the figures to this file");
  app.add_option("scenario", options.names, "only these");
  CLI11_PARSE(app, argc, argv);
  return fairlead::pcc::Main(options);
}
