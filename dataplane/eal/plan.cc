#include "dataplane/eal/plan.h"

#include <algorithm>
#include <charconv>

namespace fairlead {
namespace {

// FNV-1a. Makes a short name from a path: equal paths give equal names. Not for security.
uint32_t ShortHash(const std::string& text) {
  uint32_t hash = 2166136261U;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619U;
  return hash;
}

std::string Hex(uint32_t value) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (int shift = 28; shift >= 0; shift -= 4) text += kDigits[(value >> shift) & 15];
  return text;
}

std::string Join(const std::vector<uint32_t>& numbers) {
  std::string text;
  for (const uint32_t number : numbers) text += (text.empty() ? "" : ",") + std::to_string(number);
  return text;
}

// "0@(0,1),1@1": see the header.
Result<std::string> PlanLcores(const DataplaneConfig& config, const HostFacts& host) {
  std::vector<uint32_t> bound = config.cores;  // the CPUs that workers are bound to
  if (bound.empty()) {
    const uint32_t workers = config.workers.value_or(1);
    if (workers > host.cpus.size()) {
      return InvalidArgument("workers: " + std::to_string(workers) +
                             ", but this process may use only " + std::to_string(host.cpus.size()) +
                             " CPUs (" + Join(host.cpus) + ")");
    }
    bound.assign(host.cpus.rbegin(), host.cpus.rbegin() + workers);
  }
  std::string text = "0@(" + Join(host.cpus) + ")";
  for (size_t i = 0; i < bound.size(); ++i) {
    if (!std::binary_search(host.cpus.begin(), host.cpus.end(), bound[i])) {
      return InvalidArgument("cores: CPU " + std::to_string(bound[i]) +
                             " is not in this process's affinity mask (" + Join(host.cpus) +
                             "); choose from it with --cores");
    }
    text += "," + std::to_string(i + 1) + "@" + std::to_string(bound[i]);
  }
  return text;
}

Status NoHugepages(const HostFacts& host, uint32_t memory_mib) {
  const uint64_t wanted = host.hugepages + (memory_mib + 1) / 2;
  return FailedPrecondition(
      (host.hugepages == 0
           ? "this host has no hugepages"
           : "all " + std::to_string(host.hugepages) + " hugepages of this host are in use") +
      ", and these ports need " + std::to_string(memory_mib) + " MiB of them; run: echo " +
      std::to_string(wanted) +
      " > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages; or use ordinary memory: -- "
      "--no-huge");
}

// The value of an option: "name=value", "name", "value" or, if it has one letter, "-xvalue". Empty:
// the option is not there.
std::string EalOptionValue(const std::vector<std::string>& arguments, const std::string& name) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == name) return i + 1 < arguments.size() ? arguments[i + 1] : "";
    if (argument.starts_with(name + "=")) return argument.substr(name.size() + 1);
    if (name.size() == 2 && argument.starts_with(name)) return argument.substr(name.size());
  }
  return "";
}

bool IsPci(const PortConfig& port) { return port.device.kind->is_pci; }

}  // namespace

bool HasEalOption(const std::vector<std::string>& arguments, const std::string& name) {
  const bool is_short = name.size() == 2;
  return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
    return argument == name || argument.starts_with(name + "=") ||
           (is_short && argument.starts_with(name) && !argument.starts_with("--"));
  });
}

Result<EalPlan> PlanEal(const Options& options, const HostFacts& host, uint32_t memory_mib) {
  const std::vector<std::string>& given = options.eal_arguments;
  const auto has = [&](const std::string& name) { return HasEalOption(given, name); };
  const DataplaneConfig& config = options.config;
  if (config.ports.empty() && !has("--vdev") && !has("-a") && !has("--allow")) {
    return InvalidArgument(
        "no port is configured; add one to /etc/fairlead/dataplane.yaml (ports: [{name: wan, "
        "device: "
        "...}]) or give one with --port NAME=DEVICE or -- --vdev ...");
  }
  if (!has("--no-huge") && host.free_hugepages == 0) return NoHugepages(host, memory_mib);

  EalPlan plan;
  plan.arguments = {"fairlead-dataplane", "--log-level=*:warning"};
  if (!has("-l") && !has("-c") && !has("--lcores")) {
    ASSIGN_OR_RETURN(const std::string lcores, PlanLcores(config, host));
    plan.arguments.push_back("--lcores=" + lcores);
    plan.arguments.emplace_back("--main-lcore=0");
  }
  if (!has("--file-prefix")) {
    // With a link, the prefix depends on its path: two instances must not share it, and a new
    // process takes over the files of a killed one. Without a link, each process has its own.
    const bool linked = options.link_path.has_value();
    plan.arguments.push_back("--file-prefix=fairlead-" + (linked
                                                              ? Hex(ShortHash(*options.link_path))
                                                              : std::to_string(host.pid)));
  }
  const bool any_pci = std::any_of(config.ports.begin(), config.ports.end(), IsPci);
  if (!any_pci && !config.ports.empty() && !has("--no-pci") && !has("-a") && !has("--allow")) {
    plan.arguments.emplace_back("--no-pci");
  }
  for (const PortConfig& port : config.ports) {
    if (IsPci(port)) plan.arguments.push_back("--allow=" + port.device.target);
  }
  if (has("--no-huge") && !has("-m")) {
    plan.arguments.emplace_back("-m");
    plan.arguments.push_back(std::to_string(memory_mib));
  }
  plan.arguments.insert(plan.arguments.end(), given.begin(), given.end());
  plan.file_prefix = EalOptionValue(plan.arguments, "--file-prefix");
  if (has("--no-huge")) {
    const std::string text = EalOptionValue(plan.arguments, "-m");
    std::from_chars(text.data(), text.data() + text.size(), plan.no_huge_mebibytes);
  }
  return plan;
}

}  // namespace fairlead
