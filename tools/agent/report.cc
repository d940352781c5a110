#include "tools/agent/report.h"

#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace fairlead::agent {
namespace {

struct CounterInfo {
  std::string_view name;
  std::string_view kind;
  std::string_view description;
};

constexpr std::array<CounterInfo, AGENT_COUNTERS> kCounters = {{
#define AGENT_COUNTER(name, kind, description) {#name, #kind, description},
#include "tools/agent/agent_counters.def"
#undef AGENT_COUNTER
}};

std::string_view HookName(const agent_settings& settings) {
  return settings.hook == AGENT_HOOK_XDP ? "xdp" : "tc";
}

// "xdp (native)", "tc"
std::string Place(const InterfaceStatus& status) {
  const std::string hook(HookName(status.settings));
  return status.settings.hook == AGENT_HOOK_XDP ? hook + " (" + status.mode + ")" : hook;
}

std::string OneInterface(const InterfaceStatus& status) {
  if (!status.problem.empty()) return fmt::format("{}: {}\n", status.interface, status.problem);
  std::string text;
  if (status.attached)
    text = fmt::format("{}: attached at {}, program {}\n", status.interface, Place(status),
                       status.program_id);
  else
    text = fmt::format(
        "{}: NOT attached: the interface was created again, or the program was "
        "removed; attach again\n",
        status.interface);
  std::string names;
  for (const SourcePrefix& prefix : status.balancers) names += " " + prefix.ToString();
  text += fmt::format("  balancers {}\n", names.empty() ? " none: nothing is decapsulated" : names);
  if (status.settings.second_chance != 0) {
    std::string peers;
    for (const SourcePrefix& prefix : status.peers) peers += " " + prefix.ToString();
    text += fmt::format("  peers      {}\n", peers);
  }
  text += status.settings.gue_port != 0 ? fmt::format("  gue port   {}\n", status.settings.gue_port)
                                        : "  gue port   none\n";
  text += fmt::format("  IPIP from other sources {}\n",
                      status.settings.strict ? "is dropped (--strict)" : "goes to the kernel");
  if (status.settings.clamp_mss != 0)
    text += fmt::format("  MSS of SYN-ACKs at most {}{}\n", status.settings.clamp_mss,
                        status.clamped ? ""
                                       : ": NOT attached, the program at TC egress was removed; "
                                         "attach again");
  for (size_t i = 0; i < kCounters.size(); ++i)
    text += fmt::format("  {:<8} {:<16} {:>14}  {}\n", kCounters[i].kind, kCounters[i].name,
                        status.counters[i], kCounters[i].description);
  return text;
}

}  // namespace

std::string StatusText(const std::vector<InterfaceStatus>& interfaces) {
  if (interfaces.empty()) return "not attached to any interface\n";
  std::string text;
  for (const InterfaceStatus& status : interfaces) text += OneInterface(status);
  return text;
}

std::string StatusJson(const std::vector<InterfaceStatus>& interfaces) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const InterfaceStatus& status : interfaces) {
    if (!status.problem.empty()) {
      list.push_back({{"interface", status.interface}, {"problem", status.problem}});
      continue;
    }
    nlohmann::ordered_json counters = nlohmann::ordered_json::object();
    for (size_t i = 0; i < kCounters.size(); ++i)
      counters[std::string(kCounters[i].name)] = status.counters[i];
    nlohmann::ordered_json balancers = nlohmann::ordered_json::array();
    for (const SourcePrefix& prefix : status.balancers) balancers.push_back(prefix.ToString());
    nlohmann::ordered_json peers = nlohmann::ordered_json::array();
    for (const SourcePrefix& prefix : status.peers) peers.push_back(prefix.ToString());
    list.push_back({{"interface", status.interface},
                    {"attached", status.attached},
                    {"hook", HookName(status.settings)},
                    {"mode", status.mode},
                    {"program_id", status.program_id},
                    {"gue_port", status.settings.gue_port},
                    {"strict", status.settings.strict != 0},
                    {"clamp_mss", status.settings.clamp_mss},
                    {"clamped", status.clamped},
                    {"balancers", balancers},
                    {"peers", peers},
                    {"counters", counters}});
  }
  return nlohmann::ordered_json{{"interfaces", list}}.dump(2) + "\n";
}

}  // namespace fairlead::agent
