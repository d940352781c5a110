#include "controlplane/core/status_text.h"

#include <fmt/format.h>

#include "lib/intent/json.h"

namespace fairlead {
namespace {

// The frontend that the check tried; null: the check was direct, or the frontend is gone.
const Frontend* FrontendOf(const CheckResult& verdict, const CheckedBackend& checked) {
  if (checked.service == nullptr || verdict.frontend == 0) return nullptr;
  const size_t index = verdict.frontend - size_t{1};
  const auto& frontends = checked.service->frontends;
  return index < frontends.size() ? &frontends[index] : nullptr;
}

// " of 203.0.113.10:80 through the dataplane".
std::string TargetText(const CheckResult& verdict, const Frontend* frontend) {
  std::string text = verdict.port == 0 ? "" : fmt::format(" of port {}", verdict.port);
  if (frontend != nullptr) text = " of " + Endpoint{frontend->address, verdict.port}.ToString();
  return verdict.frontend == 0 ? text : text + " through the dataplane";
}

std::string OnlyDirectlyText(const Frontend* frontend, const IpAddress* backend) {
  return fmt::format("; answers on {}, not for {}: is the address on its lo?",
                     backend == nullptr ? "its own address" : backend->ToString(),
                     frontend == nullptr ? "the frontend" : frontend->address.ToString());
}

std::string FailureReason(const CheckType* type, const CheckResult& verdict,
                          const CheckedBackend& checked) {
  if (type == nullptr || type->failure_text == nullptr) {
    return fmt::format("code {}", verdict.detail);
  }
  // The service's check may have another type by now.
  const bool is_known = checked.service != nullptr && checked.service->health_check.type == type;
  const CheckSettings settings =
      is_known ? checked.service->health_check.settings : DefaultCheckSettings(*type);
  const Frontend* frontend = FrontendOf(verdict, checked);
  const IpAddress backend = checked.address == nullptr ? IpAddress() : *checked.address;
  return type->failure_text(
      {verdict.detail, settings, frontend == nullptr ? backend : frontend->address});
}

}  // namespace

std::string CheckResultText(const CheckResult& verdict, const CheckedBackend& checked) {
  const CheckType* type = FindCheckType(verdict.type);
  const std::string_view name = type == nullptr ? "other" : type->name;
  const Frontend* frontend = FrontendOf(verdict, checked);
  const std::string target = TargetText(verdict, frontend);
  const auto failed = [&](const std::string& why) {
    return fmt::format("{} {} checks{} failed in a row: {}{}", verdict.failures, name, target, why,
                       verdict.passes_directly ? OnlyDirectlyText(frontend, checked.address) : "");
  };
  switch (verdict.outcome) {
    case CheckOutcome::kNone:
      return "not checked since fairleadd was updated";
    case CheckOutcome::kPassed:
      return fmt::format("{} check{} passes", name, target);
    case CheckOutcome::kNoCheck:
      return "no check is configured";
    case CheckOutcome::kNoPort:
      return "not checked: neither the check, the backend nor a frontend names a port";
    case CheckOutcome::kTimedOut:
      return failed("no answer within " + FormatDurationMs(static_cast<uint32_t>(verdict.detail)));
    case CheckOutcome::kFailed:
      return failed(FailureReason(type, verdict, checked));
  }
  return "";
}

std::string LeftOutFrontendText(const LeftOutFrontend& frontend) {
  switch (frontend.reason) {
    case FrontendLeftOutReason::kOwnAddress:
      return "is an address of this host (" + frontend.owner +
             "), which handles its packets itself";
    case FrontendLeftOutReason::kNatAnyPort:
      return "is for any port, which nat no longer supports: the backends' own connections would "
             "be treated as replies; name the ports, or a range";
    case FrontendLeftOutReason::kOlderDataplane:
      return "is a port range, which the running dataplane (release 0.1.0) does not support; start "
             "the new dataplane";
  }
  return "";
}

std::string OutlierText(const OutlierStatus& outlier) {
  const std::string judged_by =
      fmt::format("{} % of {} sampled handshakes unanswered, median of the service {} %",
                  outlier.unanswered_percent, outlier.sampled, outlier.median_percent);
  if (!outlier.is_ejected()) return judged_by;
  return fmt::format("ejected for {} s: {}", outlier.ejected_for.count(), judged_by);
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

std::string WayText(const WayState& state) {
  if (state.way.gateway == IpAddress()) return state.interface;
  return "gateway " + state.way.gateway.ToString() + " on " + state.interface;
}

std::string LostWayText(const WayState& state) {
  switch (state.loss) {
    case WayLoss::kNone:
      return "this host was cut off a moment ago";
    case WayLoss::kNoRoute:
      return "there is no route";
    case WayLoss::kNoCarrier:
      return state.interface + " has no carrier";
    case WayLoss::kSilent:
      return state.way.gateway == IpAddress() ? "nobody answers on " + state.interface
                                              : WayText(state) + " does not answer";
  }
  return "";
}

std::string NoCarrierText(const std::string& interface, const std::string& device,
                          const DataplaneStatus& dataplane) {
  const PortLink* link = dataplane.LinkOf(device);
  if (link != nullptr && !link->is_up) return "port " + link->port + " has no link";
  return interface + " has no carrier";
}

}  // namespace fairlead
