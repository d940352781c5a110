#include "lib/intent/model.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "lib/intent/checks/checked_frontends.h"
#include "lib/intent/json.h"
#include "lib/intent/nat_rules.h"
#include "lib/intent/service_index.h"
#include "lib/maglev/maglev_table.h"
#include "lib/mode/mode.h"

namespace fairlead {
namespace {

constexpr uint32_t kDefaultIdleTcpMs = 350'000;
constexpr uint32_t kDefaultIdleUdpMs = 120'000;

std::string Indexed(std::string_view path, std::string_view field, size_t index) {
  return std::string(path).append(field).append("[").append(std::to_string(index)).append("]");
}

// "services[0].name: Web is not ..."
Status Refuse(std::string path, std::string_view value, std::string_view why) {
  path.append(": ").append(value).append(" ").append(why);
  return InvalidArgument(std::move(path));
}

Status CheckRange(std::string path, uint64_t value, uint64_t min, uint64_t max) {
  if (value >= min && value <= max) return {};
  return Refuse(std::move(path), std::to_string(value),
                "is not within " + std::to_string(min) + ".." + std::to_string(max));
}

Status CheckDuration(std::string path, uint32_t value_ms, uint32_t min_ms, uint32_t max_ms) {
  if (value_ms >= min_ms && value_ms <= max_ms) return {};
  return Refuse(std::move(path), FormatDurationMs(value_ms),
                "is not within " + FormatDurationMs(min_ms) + ".." + FormatDurationMs(max_ms));
}

bool IsNameCharacter(char c, bool first) {
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return true;
  return !first && (c == '.' || c == '_' || c == '-');
}

Status CheckName(const std::string& name, std::string_view path) {
  bool good = !name.empty() && name.size() <= 63;
  for (size_t i = 0; i < name.size(); ++i) good = good && IsNameCharacter(name[i], i == 0);
  if (good) return {};
  return Refuse(std::string(path) + "name", name.empty() ? "(empty)" : name.substr(0, 80),
                "is not 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit");
}

Status CheckFrontends(const ServiceSpec& service, std::string_view path) {
  if (service.frontends.empty()) {
    return InvalidArgument(std::string(path) + "frontends: at least one is needed");
  }
  if (service.frontends.size() > kMaxFrontendsPerService) {
    return Refuse(std::string(path) + "frontends", std::to_string(service.frontends.size()),
                  "are more than " + std::to_string(kMaxFrontendsPerService) +
                      ": use port ranges, or spread them over several services");
  }
  std::set<Frontend> seen;
  for (size_t i = 0; i < service.frontends.size(); ++i) {
    const Frontend& frontend = service.frontends[i];
    if (frontend.address.IsUnusable()) {
      return Refuse(Indexed(path, "frontends", i), frontend.ToString(),
                    "is not on a usable unicast address");
    }
    if (!seen.insert(frontend).second) {
      return Refuse(Indexed(path, "frontends", i), frontend.ToString(), "appears twice");
    }
  }
  return {};
}

// A setting that the mode does not have is refused, not ignored.
Status CheckForwarding(const ServiceSpec& service, std::string_view path) {
  const ModeDescriptor& mode = ModeOf(service.forwarding);
  for (const ModeSetting& setting : kModeSettings) {
    const bool is_set = setting.flag == 0 ? service.gue_port.has_value()
                                          : (ServiceFlagsOf(service) & setting.flag) != 0;
    if (!is_set || mode.Allows(setting)) continue;
    return Refuse(
        std::string(path).append(setting.name),
        setting.flag == 0 ? std::to_string(*service.gue_port) : "true",
        "needs forwarding: " + ModeNamesWith(setting) + ", but it is " + std::string(mode.name));
  }
  if (service.gue_port == uint16_t{0})
    return CheckRange(std::string(path) + "gue_port", 0, 1, 65535);
  return {};
}

Status CheckHealthCheck(const ServiceSpec& service, std::string_view path) {
  const HealthCheck& check = service.health_check;
  const std::string prefix = std::string(path) + "health_check.";
  RETURN_IF_ERROR(CheckDuration(prefix + "interval", check.interval_ms, kMinCheckIntervalMs,
                                kMaxCheckIntervalMs));
  if (check.timeout_ms == 0 || check.timeout_ms >= check.interval_ms) {
    return Refuse(prefix + "timeout", FormatDurationMs(check.timeout_ms),
                  "is not above 0s and below the interval, " + FormatDurationMs(check.interval_ms));
  }
  RETURN_IF_ERROR(CheckRange(prefix + "rise", check.rise, 1, kMaxRiseFall));
  RETURN_IF_ERROR(CheckRange(prefix + "fall", check.fall, 1, kMaxRiseFall));
  if (check.all_ports && check.port != 0) {
    return Refuse(
        prefix + "ports", "all",
        "cannot be combined with port " + std::to_string(check.port) + "; remove one of them");
  }
  RETURN_IF_ERROR(ValidateCheckSettings(*check.type, check.settings, prefix));
  RETURN_IF_ERROR(ValidateCheckPath(service, path));
  return check.type->validate == nullptr ? Status() : check.type->validate(service, path);
}

bool IsFrontendAddress(const ServiceSpec& service, const IpAddress& address) {
  return std::any_of(service.frontends.begin(), service.frontends.end(),
                     [&](const Frontend& frontend) { return frontend.address == address; });
}

Status CheckBackend(const ServiceSpec& service, const BackendSpec& backend,
                    const std::string& path) {
  const Endpoint& endpoint = backend.endpoint;
  if (endpoint.address.IsUnusable()) {
    return Refuse(path + ".address", endpoint.address.ToString(),
                  "is not a usable unicast address");
  }
  if (IsFrontendAddress(service, endpoint.address)) {
    return Refuse(path + ".address", endpoint.address.ToString(),
                  "is a frontend of this service: packets would come back in a loop");
  }
  if (endpoint.port != 0 && !ModeOf(service.forwarding).rewrites_destination() &&
      !NamesPort(service, endpoint.port)) {
    return Refuse(path + ".port", std::to_string(endpoint.port),
                  "is not a frontend's port: another port needs nat");
  }
  RETURN_IF_ERROR(CheckBackendFields(backend, path + "."));
  if (backend.mac && (backend.mac->is_zero() || backend.mac->is_group())) {
    return Refuse(path + ".mac", backend.mac->ToString(), "is not a unicast MAC address");
  }
  if (backend.vlan && !backend.mac) {
    return Refuse(path + ".vlan", std::to_string(*backend.vlan),
                  "needs mac, too: it is the VLAN of a static next hop");
  }
  return {};
}

Status CheckBackends(const ServiceSpec& service, std::string_view path) {
  RETURN_IF_ERROR(ValidateBackendCount(service.backends.size(), path));
  std::set<Endpoint> seen;
  for (size_t i = 0; i < service.backends.size(); ++i) {
    const std::string at = Indexed(path, "backends", i);
    RETURN_IF_ERROR(CheckBackend(service, service.backends[i], at));
    const Endpoint stored = NormalizeEndpoint(service, service.backends[i].endpoint);
    if (!seen.insert(stored).second) return Refuse(at, stored.ToString(), "appears twice");
  }
  return {};
}

// Names and endpoints contain no NUL, so the NULs in `text` separate its parts.
uint32_t ProposeId(const std::string& text, uint32_t attempt) {
  const uint64_t hash = XXH3_64bits_withSeed(text.data(), text.size(), attempt);
  const auto id = static_cast<uint32_t>(hash ^ (hash >> 32));
  return id == 0 ? 1 : id;
}

}  // namespace

bool NamesPort(const ServiceSpec& service, uint16_t port) {
  return std::ranges::any_of(service.frontends, [&](const Frontend& frontend) {
    return frontend.port == port || (frontend.is_range() && frontend.HasPort(port));
  });
}

Status ValidateServiceAt(const ServiceSpec& service, std::string_view path) {
  RETURN_IF_ERROR(CheckName(service.name, path));
  RETURN_IF_ERROR(CheckFrontends(service, path));
  RETURN_IF_ERROR(CheckForwarding(service, path));
  RETURN_IF_ERROR(CheckServiceFields(service, path));
  RETURN_IF_ERROR(CheckHealthCheck(service, path));
  if (service.slot_count > kMaxSlotCount || !IsPrime(service.slot_count)) {
    return Refuse(std::string(path) + "slot_count", std::to_string(service.slot_count),
                  "is not a prime of at most " + std::to_string(kMaxSlotCount));
  }
  if (service.outlier != OutlierPolicy::kOff && IsUdpOnly(service)) {
    return Refuse(std::string(path) + "outlier",
                  service.outlier == OutlierPolicy::kEject ? "eject" : "observe",
                  "needs a TCP frontend: TCP handshakes show whether a backend answers");
  }
  RETURN_IF_ERROR(CheckBackends(service, path));
  if (!ModeOf(service.forwarding).translates_replies) return {};
  const NatService nat_service{service.name, service.frontends};
  NatRules rules;
  for (size_t i = 0; i < service.backends.size(); ++i) {
    RETURN_IF_ERROR(
        rules.AddBackend(nat_service, service.backends[i].endpoint, Indexed(path, "backends", i)));
  }
  return {};
}

Status ValidateBackendAt(const ServiceSpec& settings, const BackendSpec& backend,
                         const std::string& path) {
  return CheckBackend(settings, backend, path);
}

Status ValidateBackendCount(size_t count, std::string_view path) {
  if (count <= kMaxBackendsPerService) return {};
  return Refuse(std::string(path) + "backends", std::to_string(count),
                "are more than " + std::to_string(kMaxBackendsPerService));
}

Status ValidateService(const ServiceSpec& service) {
  return ValidateServiceAt(service, "service " + service.name.substr(0, 80) + ": ");
}

Status ValidateIntent(const IntentSpec& intent) {
  std::vector<ServiceEdit> edits;
  edits.reserve(intent.services.size());
  for (const ServiceSpec& service : intent.services) {
    ServiceEdit& edit = edits.emplace_back();
    edit.after = &service;
    edit.path = Indexed("", "services", edits.size() - 1) + ".";
    RETURN_IF_ERROR(ValidateServiceAt(service, edit.path));
    edit.added.reserve(service.backends.size());
    for (size_t i = 0; i < service.backends.size(); ++i) {
      edit.added.push_back({service.backends[i].endpoint, i});
    }
  }
  return ServiceIndex().Change(edits);
}

bool IsUdpOnly(const ServiceSpec& service) {
  return !service.frontends.empty() &&
         std::ranges::all_of(service.frontends, [](const Frontend& frontend) {
           return frontend.protocol == Protocol::kUdp;
         });
}

bool IsStillAllowed(const ServiceSpec& service, const Frontend& frontend) {
  return !ModeOf(service.forwarding).translates_replies || !frontend.is_any_port();
}

Status ValidateNewService(const ServiceSpec& service, std::string_view path) {
  const ModeDescriptor& mode = ModeOf(service.forwarding);
  for (size_t i = 0; i < service.frontends.size(); ++i) {
    const Frontend& frontend = service.frontends[i];
    if (IsStillAllowed(service, frontend)) continue;
    return Refuse(Indexed(path, "frontends", i), frontend.ToString(),
                  "is for any port, which " + std::string(mode.name) +
                      " does not support: the backends' own connections would "
                      "be translated as replies; name the ports, or a range such as " +
                      Frontend{frontend.address, 8000, frontend.protocol, 8999}.ToString());
  }
  const CheckType& type = *service.health_check.type;
  return type.validate_new == nullptr ? Status() : type.validate_new(service, path);
}

uint32_t ServiceFlagsOf(const ServiceSpec& service) {
  uint32_t flags = 0;
  if (service.gue_checksum) flags |= kServiceGueChecksum;
  if (service.second_chance) flags |= kServiceSecondChance;
  if (service.mss_clamp) flags |= kServiceMssClamp;
  if (service.drop_too_big) flags |= kServiceDropTooBig;
  if (service.on_no_backend == NoBackendPolicy::kReset) flags |= kServiceResetNoBackend;
  if (service.outlier != OutlierPolicy::kOff) flags |= kServiceFollowHandshakes;
  return flags;
}

Endpoint NormalizeEndpoint(const ServiceSpec& service, const Endpoint& endpoint) {
  if (ModeOf(service.forwarding).rewrites_destination() || !NamesPort(service, endpoint.port)) {
    return endpoint;
  }
  return {endpoint.address, 0};
}

void NormalizeService(ServiceSpec* service) {
  const uint16_t default_gue_port = ModeOf(service->forwarding).default_gue_port;
  if (default_gue_port != 0 && !service->gue_port) service->gue_port = default_gue_port;
  for (BackendSpec& backend : service->backends) {
    backend.endpoint = NormalizeEndpoint(*service, backend.endpoint);
  }
}

Tracking TrackingFor(const ServiceSpec& service, Protocol protocol) {
  return service.tracking.value_or(protocol == Protocol::kTcp ? Tracking::kAdaptive
                                                              : Tracking::kAll);
}

uint32_t IdleTimeoutMsFor(const ServiceSpec& service, Protocol protocol) {
  return service.idle_timeout_ms.value_or(protocol == Protocol::kTcp ? kDefaultIdleTcpMs
                                                                     : kDefaultIdleUdpMs);
}

uint32_t LongestIdleTimeoutMs(const ServiceSpec& service) {
  uint32_t longest = 0;
  for (const Frontend& frontend : service.frontends) {
    longest = std::max(longest, IdleTimeoutMsFor(service, frontend.protocol));
  }
  return longest;
}

const BackendSpec* FindBackend(const ServiceSpec& service, const Endpoint& endpoint) {
  const auto find = [&](const Endpoint& wanted) -> const BackendSpec* {
    const auto found =
        std::find_if(service.backends.begin(), service.backends.end(),
                     [&](const BackendSpec& backend) { return backend.endpoint == wanted; });
    return found == service.backends.end() ? nullptr : &*found;
  };
  if (const BackendSpec* exact = find(endpoint)) return exact;
  if (!NamesPort(service, endpoint.port)) return nullptr;
  return find({endpoint.address, 0});
}

uint32_t ProposeBackendId(const std::string& service_name, const Endpoint& endpoint,
                          uint32_t attempt) {
  return ProposeId("backend" + std::string(1, '\0') + service_name + '\0' + endpoint.ToString(),
                   attempt);
}

uint32_t ProposeServiceId(const std::string& service_name, uint32_t attempt) {
  return ProposeId("service" + std::string(1, '\0') + service_name, attempt);
}

}  // namespace fairlead
