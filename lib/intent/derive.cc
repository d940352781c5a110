#include "lib/intent/derive.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "lib/encap/tunnel.h"

namespace fairlead {
namespace {

BackendState StateOf(const ObservedBackend& observed, bool ignore_health) {
  if (observed.released) return BackendState::kDown;
  if (!observed.healthy && !ignore_health) {
    return observed.kept ? BackendState::kDraining : BackendState::kDown;
  }
  return observed.draining ? BackendState::kDraining : BackendState::kActive;
}

std::optional<SnapshotNextHop> NextHopOf(const BackendSpec& backend,
                                         const ObservedBackend& observed) {
  if (!backend.mac) return observed.next_hop;
  SnapshotNextHop hop{*backend.mac, backend.vlan.value_or(0), {}};
  if (observed.next_hop) hop.interface = observed.next_hop->interface;
  return hop;
}

SnapshotService DeriveService(const ServiceSpec& service, const Observations& observations) {
  SnapshotService out;
  out.id = observations.service_id(service);
  out.name = service.name;
  for (const Frontend& frontend : service.frontends) {
    if (!observations.usable || observations.usable(frontend)) out.frontends.push_back(frontend);
  }
  out.mode = service.forwarding;
  if (service.forwarding == ForwardingMode::kGue) {
    out.gue_port = service.gue_port.value_or(kDefaultGuePort);
  }
  if (service.gue_checksum) out.flags |= kServiceGueChecksum;
  if (service.second_chance) out.flags |= kServiceSecondChance;
  if (service.mss_clamp) out.flags |= kServiceMssClamp;
  if (service.drop_too_big) out.flags |= kServiceDropTooBig;
  if (service.on_no_backend == NoBackendPolicy::kReset) out.flags |= kServiceResetNoBackend;
  out.hash_policy = service.hash;
  out.tracking_tcp = TrackingFor(service, Protocol::kTcp);
  out.tracking_udp = TrackingFor(service, Protocol::kUdp);
  out.slot_count = service.slot_count;
  out.idle_timeout_tcp_ms = IdleTimeoutMsFor(service, Protocol::kTcp);
  out.idle_timeout_udp_ms = IdleTimeoutMsFor(service, Protocol::kUdp);

  std::vector<ObservedBackend> observed;
  observed.reserve(service.backends.size());
  bool any_takes_new_flows = false;
  for (const BackendSpec& backend : service.backends) {
    const ObservedBackend& seen = observed.emplace_back(observations.backend(service, backend));
    const bool is_draining = seen.draining || seen.released;
    any_takes_new_flows |= seen.healthy && seen.usable && !is_draining && backend.weight > 0;
  }
  const bool ignore_health = service.fail_open && !any_takes_new_flows;
  for (size_t i = 0; i < service.backends.size(); ++i) {
    const BackendSpec& backend = service.backends[i];
    out.backends.push_back({.id = observed[i].id,
                            .endpoint = NormalizeEndpoint(service, backend.endpoint),
                            .weight = backend.weight,
                            .state = StateOf(observed[i], ignore_health),
                            .next_hop = NextHopOf(backend, observed[i])});
  }
  return out;
}

// The first proposal that is still free.
uint32_t TakeId(std::set<uint32_t>* used, auto propose, const auto&... subject) {
  for (uint32_t attempt = 0;; ++attempt) {
    if (const uint32_t id = propose(subject..., attempt); used->insert(id).second) return id;
  }
}

}  // namespace

bool NeedsClientNextHop(const IntentSpec& intent, Family family) {
  return std::ranges::any_of(intent.services, [&](const ServiceSpec& service) {
    return service.forwarding == ForwardingMode::kNat &&
           std::ranges::any_of(service.frontends, [&](const Frontend& frontend) {
             return frontend.address.family() == family;
           });
  });
}

SnapshotInput DeriveSnapshot(const IntentSpec& intent, uint64_t generation,
                             const Observations& observations) {
  SnapshotInput input;
  input.generation = generation;
  input.hash_seed = intent.hash_seed;
  input.services.reserve(intent.services.size());
  for (const ServiceSpec& service : intent.services) {
    input.services.push_back(DeriveService(service, observations));
  }
  if (NeedsClientNextHop(intent, Family::kIpv4)) {
    input.client_next_hop_v4 = observations.client_next_hop_v4;
  }
  if (NeedsClientNextHop(intent, Family::kIpv6)) {
    input.client_next_hop_v6 = observations.client_next_hop_v6;
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
