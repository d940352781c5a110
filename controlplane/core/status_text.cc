#include "controlplane/core/status_text.h"

#include <cstring>

#include <fmt/format.h>

#include "lib/intent/json.h"

namespace fairlead {

std::string VerdictText(const CheckVerdict& verdict) {
  const auto failed = [&](const std::string& why) {
    return fmt::format("{} tcp checks of port {} failed in a row: {}", verdict.failures,
                       verdict.port, why);
  };
  switch (verdict.outcome) {
    case CheckOutcome::kNone:
      return "not checked since an update of fairleadd";
    case CheckOutcome::kPassed:
      return fmt::format("tcp check of port {} passes", verdict.port);
    case CheckOutcome::kNoCheck:
      return "no check is configured";
    case CheckOutcome::kNoPort:
      return "not checked: neither the check, the backend nor a frontend names a port";
    case CheckOutcome::kTimedOut:
      return failed("no answer within " + FormatDurationMs(static_cast<uint32_t>(verdict.detail)));
    case CheckOutcome::kFailed:
      return failed(std::strerror(verdict.detail));
  }
  return "";
}

std::string DrainEndText(const DrainProgress& progress) {
  switch (progress.end) {
    case DrainEnd::kNotYet:
      return "";
    case DrainEnd::kNoFlowsRemain:
      return "no flows remain";
    case DrainEnd::kDeadlinePassed:
      return progress.flows_kept ? "deadline passed; flows that remain are kept"
                                 : "deadline passed";
    case DrainEnd::kNoRecords:
      return "the service keeps no flow records (tracking none)";
  }
  return "";
}

}  // namespace fairlead
