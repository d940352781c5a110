#include "lib/intent/derive.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "lib/intent/slow_start.h"
#include "lib/mode/mode.h"

namespace fairlead {
namespace {

BackendState StateOf(const ObservedBackend& observed, BackendUse use) {
  if (observed.released) return BackendState::kDown;
  if (!observed.healthy && use != BackendUse::kAll) {
    return observed.kept ? BackendState::kDraining : BackendState::kDown;
  }
  const bool drains = observed.draining || use == BackendUse::kNone;
  return drains ? BackendState::kDraining : BackendState::kActive;
}

std::optional<SnapshotNextHop> NextHopOf(const BackendSpec& backend,
                                         const ObservedBackend& observed) {
  if (!backend.mac) return observed.next_hop;
  SnapshotNextHop hop{*backend.mac, backend.vlan.value_or(0), {}};
  if (observed.next_hop) hop.interface = observed.next_hop->interface;
  return hop;
}

uint32_t FactorOf(std::span<const BackendToDerive> backends) {
  const bool climbs = std::ranges::any_of(backends, [](const BackendToDerive& backend) {
    return backend.observed.percent < kWholeWeight && backend.spec->weight > 0;
  });
  if (!climbs) return 1;
  const auto heaviest = std::ranges::max_element(
      backends, {}, [](const BackendToDerive& backend) { return backend.spec->weight; });
  return SlowStartFactor(heaviest->spec->weight);
}

// Takes the first proposed id that is not used.
uint32_t TakeId(std::set<uint32_t>* used, auto propose, const auto&... subject) {
  for (uint32_t attempt = 0;; ++attempt) {
    if (const uint32_t id = propose(subject..., attempt); used->insert(id).second) return id;
  }
}

}  // namespace

bool ServiceNeedsClientNextHop(const ServiceSpec& settings, Family family) {
  return ModeOf(settings.forwarding).translates_replies &&
         std::ranges::any_of(settings.frontends, [&](const Frontend& frontend) {
           return frontend.address.family() == family && IsStillAllowed(settings, frontend);
         });
}

bool TakesNewFlows(const BackendToDerive& backend) {
  const ObservedBackend& seen = backend.observed;
  const bool is_draining = seen.draining || seen.released;
  return seen.healthy && seen.usable && !is_draining && backend.spec->weight > 0;
}

std::string_view BackendUseName(BackendUse use) {
  constexpr std::string_view kNames[] = {"healthy", "all", "none"};
  return kNames[static_cast<size_t>(use)];
}

BackendUse UseOfBackends(const ServiceSpec& settings, size_t available, bool below) {
  if (settings.fail_open) return available == 0 || below ? BackendUse::kAll : BackendUse::kHealthy;
  return below ? BackendUse::kNone : BackendUse::kHealthy;
}

SnapshotBackend DeriveBackend(const ServiceSpec& settings, const BackendToDerive& backend,
                              BackendUse use, uint32_t factor) {
  const auto& [spec, observed] = backend;
  return {.id = observed.id,
          .endpoint = NormalizeEndpoint(settings, spec->endpoint),
          .weight = SlowStartWeight(spec->weight, factor, observed.percent),
          .state = StateOf(observed, use),
          .next_hop = NextHopOf(*spec, observed)};
}

SnapshotService DeriveService(const ServiceSpec& service, uint32_t service_id,
                              std::span<const BackendToDerive> backends, bool below_min_healthy,
                              const std::function<bool(const Frontend&)>& usable) {
  SnapshotService out;
  out.id = service_id;
  out.name = service.name;
  for (const Frontend& frontend : service.frontends) {
    if (!IsStillAllowed(service, frontend)) continue;
    if (!usable || usable(frontend)) out.frontends.push_back(frontend);
  }
  out.mode = service.forwarding;
  const uint16_t default_gue_port = ModeOf(service.forwarding).default_gue_port;
  if (default_gue_port != 0) out.gue_port = service.gue_port.value_or(default_gue_port);
  out.flags = ServiceFlagsOf(service);
  out.hash_policy = service.hash;
  out.tracking_tcp = TrackingFor(service, Protocol::kTcp);
  out.tracking_udp = TrackingFor(service, Protocol::kUdp);
  out.slot_count = service.slot_count;
  out.idle_timeout_tcp_ms = IdleTimeoutMsFor(service, Protocol::kTcp);
  out.idle_timeout_udp_ms = IdleTimeoutMsFor(service, Protocol::kUdp);

  const auto available = static_cast<size_t>(std::ranges::count_if(backends, TakesNewFlows));
  const BackendUse use = UseOfBackends(service, available, below_min_healthy);
  const uint32_t factor = FactorOf(backends);
  out.backends.reserve(backends.size());
  for (const BackendToDerive& backend : backends) {
    out.backends.push_back(DeriveBackend(service, backend, use, factor));
  }
  return out;
}

SnapshotInput DeriveSnapshot(const IntentSpec& intent, uint64_t generation,
                             const Observations& observations) {
  SnapshotInput input;
  input.generation = generation;
  input.hash_seed = intent.hash_seed;
  input.services.reserve(intent.services.size());
  for (const ServiceSpec& service : intent.services) {
    std::vector<BackendToDerive> backends;
    backends.reserve(service.backends.size());
    for (const BackendSpec& backend : service.backends) {
      backends.push_back({&backend, observations.backend(service, backend)});
    }
    input.services.push_back(DeriveService(service, observations.service_id(service), backends,
                                           false, observations.usable));
    if (ServiceNeedsClientNextHop(service, Family::kIpv4)) {
      input.client_next_hop_v4 = observations.client_next_hop_v4;
    }
    if (ServiceNeedsClientNextHop(service, Family::kIpv6)) {
      input.client_next_hop_v6 = observations.client_next_hop_v6;
    }
  }
  return input;
}

Observations OfflineObservations(const IntentSpec& intent) {
  struct Ids {
    std::map<std::string, uint32_t> services;
    std::map<std::pair<std::string, Endpoint>, uint32_t> backends;
  };
  auto ids = std::make_shared<Ids>();
  for (const ServiceSpec& service : intent.services) {
    ids->services.emplace(service.name, 0);
    for (const BackendSpec& backend : service.backends) {
      ids->backends.emplace(std::pair(service.name, backend.endpoint), 0);
    }
  }
  std::set<uint32_t> used_services;
  for (auto& [name, id] : ids->services) {
    id = TakeId(&used_services, ProposeServiceId, name);
  }
  std::set<uint32_t> used_backends;
  for (auto& [backend, id] : ids->backends) {
    id = TakeId(&used_backends, ProposeBackendId, backend.first, backend.second);
  }
  Observations observations;
  observations.service_id = [ids](const ServiceSpec& service) {
    return ids->services.at(service.name);
  };
  observations.backend = [ids](const ServiceSpec& service, const BackendSpec& backend) {
    ObservedBackend observed;
    observed.id = ids->backends.at(std::pair(service.name, backend.endpoint));
    return observed;
  };
  return observations;
}

}  // namespace fairlead
