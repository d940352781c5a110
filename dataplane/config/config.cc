#include "dataplane/config/config.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "dataplane/pipeline/pipeline.h"
#include "lib/config/config_file.h"
#include "lib/link/message.h"
#include "lib/snapshot/format.h"

namespace fairlead {
namespace {

template <typename T>
Status AppendParsed(const YAML::Node& node, const ConfigPlace& place, std::vector<T>* out) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(node, place));
  Result<T> value = T::Parse(text);
  if (!value.ok()) return place.Error(value.status().message());
  out->push_back(*value);
  return {};
}

Status ReadAnnounceVlans(const YAML::Node& node, const ConfigPlace& place,
                         std::vector<uint16_t>* vlans) {
  vlans->clear();
  RETURN_IF_ERROR(ReadList(node, place, [&](const YAML::Node& item, const ConfigPlace& at) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(item, at));
    uint64_t vlan = kUntagged;
    if (text != "untagged") {
      const Result<uint64_t> number = ReadNumber(item, at, 1, kMaxVlan);
      if (!number.ok()) return at.Error("'" + text + "' is no VLAN; write untagged, or 1 to 4094");
      vlan = *number;
    }
    if (std::ranges::find(*vlans, vlan) != vlans->end()) {
      return at.Error(text + " is there twice; remove one");
    }
    vlans->push_back(static_cast<uint16_t>(vlan));
    return Status();
  }));
  if (vlans->empty()) {
    return place.Error("is empty; name VLANs, or write announce: false instead");
  }
  if (vlans->size() > kMaxAnnounceVlans) {
    return place.Error("has " + std::to_string(vlans->size()) + " VLANs; at most " +
                       std::to_string(kMaxAnnounceVlans) + " are possible");
  }
  return {};
}

Result<PortConfig> ReadPort(const YAML::Node& node, const ConfigPlace& place) {
  RETURN_IF_ERROR(CheckKeys(node, place,
                            {"name", "device", "mac", "mtu", "addresses", "ipip_source", "gateway",
                             "kernel", "announce", "announce_vlans", "spread"}));
  PortConfig port;
  ASSIGN_OR_RETURN(port.name, ReadText(node["name"], place.Key("name")));
  if (node["device"] &&
      node["device"].IsNull()) {  // as yaml-cpp reads `device:` without a value, too
    return place.Key("device").Error(
        "must be a non-empty string; for the device that discards everything write 'null' in "
        "quotes");
  }
  ASSIGN_OR_RETURN(const std::string device, ReadText(node["device"], place.Key("device")));
  Result<DeviceSpec> spec = ParseDevice(device);
  if (!spec.ok()) return place.Key("device").Error(spec.status().message());
  port.device = *std::move(spec);
  if (node["mac"]) {
    RETURN_IF_ERROR(
        ReadList(node["mac"], place.Key("mac"), [&](const YAML::Node& item, const ConfigPlace& at) {
          return AppendParsed(item, at, &port.macs);
        }));
  }
  if (node["mtu"]) {
    ASSIGN_OR_RETURN(const uint64_t mtu,
                     ReadNumber(node["mtu"], place.Key("mtu"), kMinMtu, kMaxMtu));
    port.mtu = static_cast<uint16_t>(mtu);
  }
  if (node["addresses"]) {
    RETURN_IF_ERROR(ReadList(node["addresses"], place.Key("addresses"),
                             [&](const YAML::Node& item, const ConfigPlace& at) {
                               return AppendParsed(item, at, &port.addresses);
                             }));
  }
  if (node["kernel"]) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(node["kernel"], place.Key("kernel")));
    Result<std::string> tap = ParseKernelPath(text);
    if (!tap.ok()) return place.Key("kernel").Error(tap.status().message());
    port.kernel_tap = *std::move(tap);
  }
  if (node["ipip_source"]) {
    RETURN_IF_ERROR(ReadList(node["ipip_source"], place.Key("ipip_source"),
                             [&](const YAML::Node& item, const ConfigPlace& at) {
                               return AppendParsed(item, at, &port.ipip_sources);
                             }));
  }
  if (node["gateway"]) {
    std::vector<MacAddress> gateways;
    RETURN_IF_ERROR(AppendParsed(node["gateway"], place.Key("gateway"), &gateways));
    port.gateway = gateways.front();
  }
  if (node["announce"]) {
    ASSIGN_OR_RETURN(port.announce, ReadSwitch(node["announce"], place.Key("announce")));
  }
  if (node["announce_vlans"]) {
    RETURN_IF_ERROR(ReadAnnounceVlans(node["announce_vlans"], place.Key("announce_vlans"),
                                      &port.announce_vlans));
  }
  if (node["spread"]) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(node["spread"], place.Key("spread")));
    Result<SpreadMode> spread = ParseSpreadMode(text);
    if (!spread.ok()) return place.Key("spread").Error(spread.status().message());
    port.spread = *spread;
  }
  return port;
}

// Reads a limit per second. Without the key, `rate` does not change.
Status ReadRate(const YAML::Node& limits, const ConfigPlace& place, const std::string& key,
                uint32_t* rate) {
  if (!limits[key]) return {};
  ASSIGN_OR_RETURN(const uint64_t value, ReadNumber(limits[key], place.Key(key), 0, 1'000'000));
  *rate = static_cast<uint32_t>(value);
  return {};
}

Status ReadRest(const YAML::Node& root, const ConfigPlace& place, DataplaneConfig* config) {
  if (root["cores"]) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(root["cores"], place.Key("cores")));
    Result<std::vector<uint32_t>> cores = ParseCores(text);
    if (!cores.ok()) return place.Key("cores").Error(cores.status().message());
    config->cores = *std::move(cores);
  }
  if (root["idle"]) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(root["idle"], place.Key("idle")));
    Result<IdleMode> idle = ParseIdleMode(text);
    if (!idle.ok()) return place.Key("idle").Error(idle.status().message());
    config->idle = *idle;
  }
  if (root["flow_table"]) {
    const ConfigPlace table = place.Key("flow_table");
    RETURN_IF_ERROR(CheckKeys(root["flow_table"], table, {"records"}));
    ASSIGN_OR_RETURN(config->flow_records,
                     ReadNumber(root["flow_table"]["records"], table.Key("records"),
                                kMinFlowRecords, kMaxFlowRecords));
  }
  if (root["limits"]) {
    const ConfigPlace limits = place.Key("limits");
    RETURN_IF_ERROR(CheckKeys(root["limits"], limits,
                              {"replies_per_second", "icmp_errors_per_second", "resets_per_second",
                               "announcements_per_second"}));
    RETURN_IF_ERROR(
        ReadRate(root["limits"], limits, "replies_per_second", &config->replies_per_second));
    RETURN_IF_ERROR(ReadRate(root["limits"], limits, "icmp_errors_per_second",
                             &config->icmp_errors_per_second));
    RETURN_IF_ERROR(
        ReadRate(root["limits"], limits, "resets_per_second", &config->resets_per_second));
    RETURN_IF_ERROR(ReadRate(root["limits"], limits, "announcements_per_second",
                             &config->announcements_per_second));
  }
  return {};
}

// Who claims a device: names of ports, by DeviceKind::claim.
using Claims = std::map<std::string, std::string>;

Status CheckKernelPath(const PortConfig& port, Claims* claims) {
  if (port.kernel_tap.empty()) return {};
  if (port.device.kind->is_steered) {
    return InvalidArgument("port " + port.name + ": kernel: " + port.device.text +
                           " already shares the NIC with the kernel; remove `kernel`");
  }
  const auto [first, added] = claims->try_emplace("interface " + port.kernel_tap, port.name);
  if (!added) {
    return InvalidArgument("port " + port.name + ": kernel: interface " + port.kernel_tap +
                           " is already in use by port " + first->second +
                           "; name another interface");
  }
  return {};
}

Result<DataplaneConfig> ReadConfig(const YAML::Node& root, const std::string& source) {
  const ConfigPlace place(source, root);
  DataplaneConfig config;
  if (root.IsNull()) return config;
  RETURN_IF_ERROR(
      CheckKeys(root, place, {"workers", "cores", "idle", "ports", "flow_table", "limits"}));
  if (root["workers"]) {
    ASSIGN_OR_RETURN(const uint64_t workers,
                     ReadNumber(root["workers"], place.Key("workers"), 1, kMaxWorkers));
    config.workers = static_cast<uint32_t>(workers);
  }
  RETURN_IF_ERROR(ReadRest(root, place, &config));
  if (const YAML::Node ports = root["ports"]) {
    if (!ports.IsSequence()) return place.Key("ports").Error("must be a list");
    for (size_t i = 0; i < ports.size(); ++i) {
      ASSIGN_OR_RETURN(PortConfig port, ReadPort(ports[i], place.Key("ports").Item(i)));
      config.ports.push_back(std::move(port));
    }
  }
  Status checked = CheckConfig(config);
  if (!checked.ok()) return place.Error(checked.message());
  return config;
}

}  // namespace

Result<std::vector<uint32_t>> ParseCores(std::string_view text) {
  constexpr uint32_t kLastCpu = 1023;  // the last CPU of a cpu_set_t
  const Status error = InvalidArgument(
      "'" + std::string(text) + "' is not a list of CPUs; write 2-3 or 1,4-5, each CPU once");
  std::set<uint32_t> cores;
  const char* at = text.data();
  const char* end = at + text.size();
  while (true) {
    uint32_t first = 0;
    std::from_chars_result parsed = std::from_chars(at, end, first);
    uint32_t last = first;
    if (parsed.ec == std::errc() && parsed.ptr != end && *parsed.ptr == '-') {
      parsed = std::from_chars(parsed.ptr + 1, end, last);
    }
    if (parsed.ec != std::errc() || last < first || last > kLastCpu) return error;
    for (uint32_t core = first; core <= last; ++core) {
      if (!cores.insert(core).second) return error;
    }
    if (parsed.ptr == end) return std::vector<uint32_t>(cores.begin(), cores.end());
    if (*parsed.ptr != ',') return error;
    at = parsed.ptr + 1;
  }
}

Result<DataplaneConfig> ParseConfig(const std::string& text, const std::string& source) {
  ASSIGN_OR_RETURN(const YAML::Node root, ParseConfigFile(text, source));
  return ReadConfig(root, source);
}

Result<IdleMode> ParseIdleMode(std::string_view text) {
  if (text == "adaptive") return IdleMode::kAdaptive;
  if (text == "busy") return IdleMode::kBusy;
  return InvalidArgument("'" + std::string(text) + "' is neither adaptive nor busy");
}

Result<std::string> ParseKernelPath(std::string_view text) {
  if (text.starts_with("tap:")) {
    Result<DeviceSpec> spec = ParseDevice(text);
    if (!spec.ok()) return spec.status();
    return spec->target;
  }
  return InvalidArgument("'" + std::string(text) + "' is not a path to the kernel; write tap:NAME");
}

namespace {

// Two ports with one MAC would be one station to a switch. A MAC that a port only accepts may be
// that of several.
Status CheckMacs(const PortConfig& port, std::map<MacAddress, std::string>* own_macs) {
  const auto refuse = [&](const std::string& what) {
    return InvalidArgument("port " + port.name + ": mac: " + what);
  };
  if (port.macs.size() > kMaxPortMacs) {
    return refuse("has " + std::to_string(port.macs.size()) + " addresses; at most " +
                  std::to_string(kMaxPortMacs) + " are possible");
  }
  for (const MacAddress& mac : port.macs) {
    if (!mac.is_group() && !mac.is_zero()) continue;
    return refuse(mac.ToString() + " cannot be a station's MAC address");
  }
  if (port.macs.empty()) return {};
  const auto [first, added] = own_macs->try_emplace(port.macs.front(), port.name);
  if (added) return {};
  return refuse(port.macs.front().ToString() + " is already that of port " + first->second +
                "; give each port its own, or remove mac to use the device's");
}

Status CheckPortAddresses(const PortConfig& port) {
  const auto refuse = [&](const std::string& what) {
    return InvalidArgument("port " + port.name + ": " + what);
  };
  std::set<IpAddress> seen;
  for (const IpAddress& address : port.addresses) {
    if (address.IsUnusable()) {
      return refuse("addresses: " + address.ToString() + " is not a usable unicast address");
    }
    if (!seen.insert(address).second) {
      return refuse("addresses: " + address.ToString() + " is there twice; remove one");
    }
  }
  std::set<Family> families;
  for (const Prefix& prefix : port.ipip_sources) {
    const uint8_t most = prefix.address.is_v4() ? 31 : 127;
    const uint8_t least = prefix.address.is_v4() ? 8 : 16;
    if (prefix.address.IsUnusable() || prefix.bits < least || prefix.bits > most) {
      return refuse("ipip_source: " + prefix.ToString() +
                    " is not a unicast prefix of 8 to 31 (IPv6: 16 to 127) bits");
    }
    if (!families.insert(prefix.address.family()).second) {
      return refuse("ipip_source: " + prefix.ToString() + " is the second prefix of its family");
    }
  }
  if (port.gateway && (port.gateway->is_zero() || port.gateway->is_group())) {
    return refuse("gateway: " + port.gateway->ToString() + " cannot be a station's MAC address");
  }
  return {};
}

}  // namespace

Status CheckConfig(const DataplaneConfig& config) {
  if (config.ports.size() > kMaxPorts) {
    return InvalidArgument("too many ports: " + std::to_string(config.ports.size()) + "; at most " +
                           std::to_string(kMaxPorts) + " are possible");
  }
  if (config.workers && !config.cores.empty() && *config.workers != config.cores.size()) {
    return InvalidArgument("workers: " + std::to_string(*config.workers) + ", but cores lists " +
                           std::to_string(config.cores.size()) +
                           "; remove workers: one worker runs on each core");
  }
  std::set<std::string> names;
  std::map<MacAddress, std::string> own_macs;
  Claims claims;
  size_t addresses = 0;
  for (const PortConfig& port : config.ports) {
    addresses += port.addresses.size();
    if (addresses > kMaxOwnAddresses) {
      return InvalidArgument("port " + port.name +
                             ": addresses: all ports together have more than " +
                             std::to_string(kMaxOwnAddresses));
    }
    if (!names.insert(port.name).second) {
      return InvalidArgument("two ports are named '" + port.name +
                             "'; give each a name of its own");
    }
    RETURN_IF_ERROR(CheckKernelPath(port, &claims));
    const std::string claim = port.device.claim();
    const auto first = claim.empty() ? claims.end() : claims.find(claim);
    if (first != claims.end()) {
      return InvalidArgument("port " + port.name + ": device: " + port.device.text +
                             " is already in use by port " + first->second +
                             "; give each port a device of its own");
    }
    if (!claim.empty()) claims.emplace(claim, port.name);
    RETURN_IF_ERROR(CheckMacs(port, &own_macs));
    RETURN_IF_ERROR(CheckPortAddresses(port));
  }
  return {};
}

}  // namespace fairlead
