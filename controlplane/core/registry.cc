#include "controlplane/core/registry.h"

#include <algorithm>
#include <iterator>
#include <random>

namespace fairlead {
namespace {

void Sort(IntentSpec* intent) {
  std::ranges::sort(intent->services, {}, &ServiceSpec::name);
  for (ServiceSpec& service : intent->services) {
    std::ranges::sort(service.backends, {}, &BackendSpec::endpoint);
  }
}

// Services are compared and stored without their backends, which have rows of their own.
bool SameSettings(const ServiceSpec& a, const ServiceSpec& b) {
  ServiceSpec left = a;
  ServiceSpec right = b;
  left.backends.clear();
  right.backends.clear();
  return left == right;
}

const ServiceSpec* FindByName(const IntentSpec& intent, const std::string& name) {
  const auto found = std::ranges::lower_bound(intent.services, name, {}, &ServiceSpec::name);
  return found != intent.services.end() && found->name == name ? &*found : nullptr;
}

const BackendSpec* FindExact(const ServiceSpec& service, const Endpoint& endpoint) {
  const auto found =
      std::ranges::lower_bound(service.backends, endpoint, {}, &BackendSpec::endpoint);
  return found != service.backends.end() && found->endpoint == endpoint ? &*found : nullptr;
}

Status NoService(const std::string& name) { return NotFound("no service is named '" + name + "'"); }

// More than entries of the maps of a backend take.
constexpr size_t kSpareBytes = size_t{1} << 20;
constexpr size_t kSpareBytesOfBackend = 1024;

size_t BackendCount(const IntentSpec& intent) {
  size_t count = 0;
  for (const ServiceSpec& service : intent.services) count += service.backends.size();
  return count;
}

// Static next hops need no resolution; others stay as they were resolved.
void ApplyStaticNextHop(const BackendSpec& spec, BackendRuntime* runtime) {
  if (spec.mac.has_value()) {
    runtime->next_hop = SnapshotNextHop{*spec.mac, spec.vlan.value_or(0), ""};
  }
}

// Until when an unhealthy backend keeps the flows that it has; the clock's beginning: it does not.
SteadyTime KeptUntil(const ServiceSpec& service, const BackendRuntime& backend) {
  if (service.on_unhealthy != FlowPolicy::kKeep ||
      backend.health.state != HealthState::kUnhealthy) {
    return {};
  }
  return backend.health_since + std::chrono::milliseconds(service.keep_unhealthy_ms);
}

}  // namespace

Status Registry::Load() {
  ASSIGN_OR_RETURN(const StoredState state, store_->Load());
  Committed(state.generation);
  intent_generation_ = state.intent_generation;
  intent_.hash_seed = state.hash_seed;
  change_id_ = state.change_id;
  for (const StoredService& stored : state.services) {
    ServiceSpec spec = stored.spec;
    ServiceRuntime& runtime = services_[spec.name];
    runtime.id = stored.id;
    for (const StoredBackend& backend : stored.backends) {
      spec.backends.push_back(backend.spec);
      BackendRuntime& entry = runtime.backends[backend.spec.endpoint];
      entry.id = backend.id;
      entry.service = spec.name;
      entry.endpoint = backend.spec.endpoint;
      entry.health = backend.health.value_or(Health{});
      // Wall time tells how long ago that was, but not that it is yet to come, nor when the host's clock
      // was set meanwhile.
      const int64_t ago_ms = std::clamp<int64_t>(clock_->WallMs() - entry.health.since_ms, 0,
                                                 int64_t{kMaxKeepUnhealthyMs});
      entry.health_since = clock_->Steady() - std::chrono::milliseconds(ago_ms);
      entry.drain = backend.drain;
      entry.drain_generation = state.generation;
      ApplyStaticNextHop(backend.spec, &entry);
    }
    intent_.services.push_back(std::move(spec));
  }
  Sort(&intent_);
  if (Status status = ValidateIntent(intent_); !status.ok()) {
    return DataLoss("the store holds what this fairleadd refuses: " + status.message());
  }
  for (auto& [name, service] : services_) Index(&service);
  return {};
}

Status Registry::Import(const IntentSpec& intent) {
  if (ever_configured()) return FailedPrecondition("the store is not empty");
  IntentSpec candidate = intent;
  // A file without a seed leaves the random one of the first start in place.
  if (candidate.hash_seed == 0) candidate.hash_seed = intent_.hash_seed;
  return Apply(std::move(candidate)).status();
}

Result<const ServiceSpec*> Registry::FindService(const std::string& name) const {
  const ServiceSpec* service = FindByName(intent_, name);
  if (service == nullptr) return NoService(name);
  return service;
}

Result<const BackendSpec*> Registry::FindBackendSpec(const std::string& service,
                                                     const Endpoint& endpoint) const {
  ASSIGN_OR_RETURN(const ServiceSpec* spec, FindService(service));
  const BackendSpec* backend = FindBackend(*spec, endpoint);
  if (backend == nullptr) {
    return NotFound("service '" + service + "' has no backend " + endpoint.ToString());
  }
  return backend;
}

const BackendSpec& Registry::SpecOf(const BackendRuntime& backend) const {
  const ServiceSpec* service = FindByName(intent_, backend.service);
  CHECK(service != nullptr);
  const BackendSpec* spec = FindExact(*service, backend.endpoint);
  CHECK(spec != nullptr);
  return *spec;
}

BackendRuntime* Registry::FindRuntime(const std::string& service, const Endpoint& endpoint) {
  const auto owner = services_.find(service);
  if (owner == services_.end()) return nullptr;
  const auto backend = owner->second.backends.find(endpoint);
  return backend == owner->second.backends.end() ? nullptr : &backend->second;
}

const BackendRuntime* Registry::FindRuntime(const std::string& service,
                                            const Endpoint& endpoint) const {
  return const_cast<Registry*>(this)->FindRuntime(service, endpoint);
}

BackendRuntime* Registry::FindRuntime(uint32_t backend_id) {
  const auto found = by_id_.find(backend_id);
  return found == by_id_.end() ? nullptr : found->second;
}

ServiceSpec* Registry::Find(IntentSpec* intent, const std::string& name) const {
  return const_cast<ServiceSpec*>(FindByName(*intent, name));
}

Result<uint64_t> Registry::AddService(ServiceSpec service) {
  if (FindByName(intent_, service.name) != nullptr) {
    return AlreadyExists("a service is named '" + service.name + "' already");
  }
  // Here, so that a message's path is the request's.
  RETURN_IF_ERROR(JudgeNew(service, nullptr, ""));
  IntentSpec candidate = intent_;
  candidate.services.push_back(std::move(service));
  return Apply(std::move(candidate));
}

Result<uint64_t> Registry::ReplaceService(ServiceSpec service) {
  IntentSpec candidate = intent_;
  ServiceSpec* present = Find(&candidate, service.name);
  if (present == nullptr) return NoService(service.name);
  RETURN_IF_ERROR(JudgeNew(service, present, ""));
  *present = std::move(service);
  return Apply(std::move(candidate));
}

Result<uint64_t> Registry::RemoveService(const std::string& name) {
  IntentSpec candidate = intent_;
  if (std::erase_if(candidate.services, [&](const auto& each) { return each.name == name; }) == 0) {
    return NoService(name);
  }
  return Apply(std::move(candidate));
}

Result<uint64_t> Registry::AddBackends(const std::string& service,
                                       std::vector<BackendSpec> backends) {
  IntentSpec candidate = intent_;
  ServiceSpec* present = Find(&candidate, service);
  if (present == nullptr) return NoService(service);
  // Judged apart from those that are there, so that a message's index is the request's.
  ServiceSpec added = *present;
  added.backends = backends;
  RETURN_IF_ERROR(ValidateServiceAt(added, ""));
  for (BackendSpec& backend : backends) {
    backend.endpoint = NormalizeEndpoint(*present, backend.endpoint);
    if (FindExact(*FindByName(intent_, service), backend.endpoint) != nullptr) {
      return AlreadyExists("service '" + service + "' has a backend " +
                           backend.endpoint.ToString() + " already");
    }
    present->backends.push_back(std::move(backend));
  }
  return Apply(std::move(candidate));
}

Result<uint64_t> Registry::UpdateBackend(const std::string& service, const BackendSpec& backend) {
  IntentSpec candidate = intent_;
  ServiceSpec* present = Find(&candidate, service);
  if (present == nullptr) return NoService(service);
  const auto found = std::ranges::find(present->backends, backend.endpoint, &BackendSpec::endpoint);
  if (found == present->backends.end()) {
    return NotFound("service '" + service + "' has no backend " + backend.endpoint.ToString());
  }
  *found = backend;
  return Apply(std::move(candidate));
}

Result<uint64_t> Registry::RemoveBackend(const std::string& service, const Endpoint& endpoint) {
  IntentSpec candidate = intent_;
  ServiceSpec* present = Find(&candidate, service);
  if (present == nullptr) return NoService(service);
  const auto same = [&](const BackendSpec& each) { return each.endpoint == endpoint; };
  if (std::erase_if(present->backends, same) == 0) {
    return NotFound("service '" + service + "' has no backend " + endpoint.ToString());
  }
  return Apply(std::move(candidate));
}

Result<uint64_t> Registry::SetHashSeed(uint64_t seed) {
  if (ever_configured()) {
    IntentSpec candidate = intent_;
    candidate.hash_seed = seed;
    return Apply(std::move(candidate));
  }
  ASSIGN_OR_RETURN(Store::Transaction transaction, store_->Begin());
  RETURN_IF_ERROR(transaction.SetHashSeed(seed));
  RETURN_IF_ERROR(transaction.Commit());
  intent_.hash_seed = seed;
  return generation_;
}

Status Registry::CommitChange(Store::Transaction* transaction) {
  std::random_device random;
  const uint64_t id = (uint64_t{random()} << 32 | random()) | 1;  // not 0
  RETURN_IF_ERROR(transaction->SetGeneration(generation_ + 1));
  RETURN_IF_ERROR(transaction->AddChange(generation_ + 1, id));
  RETURN_IF_ERROR(transaction->Commit());
  change_id_ = id;
  Committed(generation_ + 1);
  return {};
}

Result<uint64_t> Registry::PutDrain(BackendRuntime* backend, const DrainRecord& drain) {
  ASSIGN_OR_RETURN(Store::Transaction transaction, store_->Begin());
  RETURN_IF_ERROR(transaction.PutDrain(backend->id, drain));
  RETURN_IF_ERROR(CommitChange(&transaction));
  backend->drain = drain;
  backend->drain_generation = generation_;
  if (on_change_) on_change_();
  return generation_;
}

Result<uint64_t> Registry::RemoveDrain(BackendRuntime* backend) {
  ASSIGN_OR_RETURN(Store::Transaction transaction, store_->Begin());
  RETURN_IF_ERROR(transaction.DeleteDrain(backend->id));
  RETURN_IF_ERROR(CommitChange(&transaction));
  backend->drain.reset();
  if (on_change_) on_change_();
  return generation_;
}

void Registry::SetClientNextHop(Family family, std::optional<SnapshotNextHop> next_hop) {
  (family == Family::kIpv4 ? client_next_hop_v4_ : client_next_hop_v6_) = std::move(next_hop);
}

void Registry::SetHealth(BackendRuntime* backend, HealthState state, std::string reason) {
  const bool same = backend->health.state == state;
  if (!same) backend->health_since = clock_->Steady();
  backend->health = {state, same ? backend->health.since_ms : clock_->WallMs(), std::move(reason)};
  unsaved_health_.insert(backend->id);
}

std::vector<const BackendRuntime*> Registry::SetLeftOut(const LeftOutBackends& left_out) {
  std::vector<const BackendRuntime*> changed;
  const auto set = [&](uint32_t id, LeftOut reason) {
    BackendRuntime* backend = FindRuntime(id);
    if (backend == nullptr || backend->left_out == reason) return;
    backend->left_out = reason;
    changed.push_back(backend);
  };
  for (const auto& [id, reason] : left_out_) {
    if (!left_out.contains(id)) set(id, LeftOut::kNo);
  }
  for (const auto& [id, reason] : left_out) set(id, reason);
  left_out_ = left_out;
  return changed;
}

Registry::OwnFrontendsChange Registry::SetOwnAddresses(OwnAddresses own) {
  own_addresses_ = std::move(own);
  std::set<OwnFrontend> now;
  for (const ServiceSpec& service : intent_.services) {
    for (const Frontend& frontend : service.frontends) {
      const auto found = own_addresses_.find(frontend.address);
      if (found != own_addresses_.end()) now.insert({service.name, frontend, found->second});
    }
  }
  OwnFrontendsChange change;
  std::ranges::set_difference(now, own_frontends_, std::back_inserter(change.left_out));
  std::ranges::set_difference(own_frontends_, now, std::back_inserter(change.back));
  own_frontends_ = std::move(now);
  return change;
}

Status Registry::JudgeOwnAddresses(const ServiceSpec& service, const ServiceSpec* present,
                                   const std::string& path) const {
  for (size_t i = 0; i < service.frontends.size(); ++i) {
    const Frontend& frontend = service.frontends[i];
    if (present != nullptr && std::ranges::count(present->frontends, frontend) != 0) continue;
    const auto own = own_addresses_.find(frontend.address);
    if (own == own_addresses_.end()) continue;
    return FailedPrecondition(path + "frontends[" + std::to_string(i) + "]: " +
                              frontend.ToString() + " is an address of this host (" + own->second +
                              "), which would be cut off; give the service an address of its own, "
                              "or this one to the loopback interface");
  }
  return {};
}

Status Registry::Flush(uint64_t generation) {
  generation_ = std::max(generation_, generation);
  if (unsaved_health_.empty() && generation_ == stored_generation_) return {};
  ASSIGN_OR_RETURN(Store::Transaction transaction, store_->Begin());
  for (const uint32_t id : unsaved_health_) {
    const BackendRuntime* backend = FindRuntime(id);
    if (backend != nullptr) RETURN_IF_ERROR(transaction.PutHealth(id, backend->health));
  }
  RETURN_IF_ERROR(transaction.SetGeneration(generation_));
  RETURN_IF_ERROR(transaction.Commit());
  unsaved_health_.clear();
  Committed(generation_);
  return {};
}

bool Registry::KeptFlowsRunOut() {
  const SteadyTime now = clock_->Steady();
  bool any = false;
  for (const ServiceSpec& service : intent_.services) {
    if (service.on_unhealthy != FlowPolicy::kKeep) continue;
    for (const auto& [endpoint, backend] : services_.at(service.name).backends) {
      const SteadyTime until = KeptUntil(service, backend);
      any |= until > kept_judged_ && until <= now;
    }
  }
  kept_judged_ = now;
  return any;
}

SnapshotInput Registry::Derive(uint64_t generation) const {
  SnapshotInput input = DeriveFrom(intent_, services_, generation);
  input.change_id = change_id_;
  return input;
}

SnapshotInput Registry::DeriveFrom(const IntentSpec& intent, const Ids& services,
                                   uint64_t generation) const {
  Observations observations;
  observations.usable = [this](const Frontend& frontend) {
    return !own_addresses_.contains(frontend.address);
  };
  observations.client_next_hop_v4 = client_next_hop_v4_;
  observations.client_next_hop_v6 = client_next_hop_v6_;
  observations.service_id = [&](const ServiceSpec& service) {
    return services.at(service.name).id;
  };
  // Asked for in their order: the next one is the answer without a search.
  const ServiceSpec* last = nullptr;
  std::map<Endpoint, BackendRuntime>::const_iterator next;
  observations.backend = [&](const ServiceSpec& service, const BackendSpec& spec) {
    const auto& backends = services.at(service.name).backends;
    if (last != &service) next = backends.begin();
    last = &service;
    if (next == backends.end() || next->first != spec.endpoint) next = backends.find(spec.endpoint);
    CHECK(next != backends.end());
    const BackendRuntime& backend = (next++)->second;
    ObservedBackend observed;
    observed.id = backend.id;
    observed.next_hop = backend.next_hop;
    observed.usable = backend.left_out == LeftOut::kNo;
    const bool checked = service.health_check.type != HealthCheckType::kNone;
    observed.healthy = !checked || backend.health.state == HealthState::kHealthy;
    // A backend without its first verdict gets nothing, and does not count for fail-open, which
    // is about backends that failed.
    const bool unjudged = checked && backend.health.state == HealthState::kInitial;
    observed.draining = backend.drain.has_value() || unjudged;
    const bool drained = backend.drain.has_value() && backend.drain->finished();
    observed.released = (drained && service.on_deadline == FlowPolicy::kRelease) || unjudged;
    observed.kept = KeptUntil(service, backend) > clock_->Steady();
    return observed;
  };
  return DeriveSnapshot(intent, generation, observations);
}

Status Registry::JudgeNew(const ServiceSpec& service, const ServiceSpec* present,
                          const std::string& path) const {
  const bool is_as_before = present != nullptr && present->frontends == service.frontends &&
                            present->forwarding == service.forwarding &&
                            present->health_check == service.health_check;
  if (!is_as_before) RETURN_IF_ERROR(ValidateNewService(service, path));
  return JudgeOwnAddresses(service, present, path);
}

Status Registry::Judge(const IntentSpec& candidate) const {
  for (size_t i = 0; i < candidate.services.size(); ++i) {
    const ServiceSpec& service = candidate.services[i];
    const ServiceSpec* present = FindByName(intent_, service.name);
    if (present != nullptr && *present == service) continue;
    const std::string path = "services[" + std::to_string(i) + "].";
    RETURN_IF_ERROR(ValidateServiceAt(service, path));
    RETURN_IF_ERROR(JudgeNew(service, present, path));
  }
  return ValidateBetweenServices(candidate);
}

Registry::Difference Registry::Compare(const IntentSpec& candidate) const {
  Difference difference;
  difference.changed.hash_seed = candidate.hash_seed;
  auto present = intent_.services.begin();
  for (const ServiceSpec& service : candidate.services) {
    for (; present != intent_.services.end() && present->name < service.name; ++present) {
      difference.removed.push_back(present->name);
    }
    const bool known = present != intent_.services.end() && present->name == service.name;
    if (!known || *present != service) difference.changed.services.push_back(service);
    if (known) ++present;
  }
  for (; present != intent_.services.end(); ++present) difference.removed.push_back(present->name);
  return difference;
}

Registry::Ids Registry::AssignIds(const IntentSpec& changed) const {
  std::set<uint32_t> taken_services;
  for (const auto& [name, service] : services_) taken_services.insert(service.id);
  std::set<uint32_t> taken_backends;  // beside those of by_id_
  Ids ids;
  for (const ServiceSpec& spec : changed.services) {
    const auto present = services_.find(spec.name);
    ServiceRuntime& service = ids[spec.name];
    if (present != services_.end()) service.id = present->second.id;
    for (uint32_t n = 0; service.id == 0; ++n) {
      const uint32_t id = ProposeServiceId(spec.name, n);
      if (taken_services.insert(id).second) service.id = id;
    }
    for (const BackendSpec& backend_spec : spec.backends) {
      BackendRuntime& backend = service.backends[backend_spec.endpoint];
      const BackendRuntime* known = FindRuntime(spec.name, backend_spec.endpoint);
      if (known != nullptr) {
        backend = *known;
        const bool was_static = SpecOf(*known).mac.has_value();
        if (was_static && !backend_spec.mac.has_value()) backend.next_hop.reset();
      } else {
        for (uint32_t n = 0; backend.id == 0; ++n) {
          const uint32_t id = ProposeBackendId(spec.name, backend_spec.endpoint, n);
          if (!by_id_.contains(id) && taken_backends.insert(id).second) backend.id = id;
        }
        backend.service = spec.name;
        backend.endpoint = backend_spec.endpoint;
        backend.health.since_ms = clock_->WallMs();
        backend.health_since = clock_->Steady();
      }
      ApplyStaticNextHop(backend_spec, &backend);
    }
  }
  return ids;
}

Result<uint64_t> Registry::Apply(IntentSpec candidate) {
  RETURN_IF_ERROR(Judge(candidate));
  for (ServiceSpec& service : candidate.services) NormalizeService(&service);
  Sort(&candidate);
  const Difference difference = Compare(candidate);
  Ids ids = AssignIds(difference.changed);
  const uint64_t generation = generation_ + 1;
  // What lies between services the validator has judged.
  if (Result<SnapshotImage> image = BuildSnapshot(DeriveFrom(difference.changed, ids, generation));
      !image.ok()) {
    return InvalidArgument("the change cannot be published: " + image.status().message());
  }
  // What is on the disk must be taken over: the memory for that is there before.
  std::vector<char> spare(kSpareBytes + BackendCount(difference.changed) * kSpareBytesOfBackend);
  ASSIGN_OR_RETURN(Store::Transaction transaction, store_->Begin());
  if (candidate.hash_seed != intent_.hash_seed) {
    RETURN_IF_ERROR(transaction.SetHashSeed(candidate.hash_seed));
  }
  RETURN_IF_ERROR(StoreDifference(&transaction, difference, ids));
  RETURN_IF_ERROR(transaction.SetIntentGeneration(generation));
  RETURN_IF_ERROR(CommitChange(&transaction));
  std::vector<char>().swap(spare);
  TakeOver(std::move(candidate), difference, std::move(ids), generation);
  return generation;
}

Status Registry::StoreDifference(Store::Transaction* transaction, const Difference& difference,
                                 const Ids& services) const {
  for (const std::string& name : difference.removed) {
    for (const auto& [endpoint, backend] : services_.at(name).backends) {
      RETURN_IF_ERROR(transaction->DeleteBackend(backend.id));
    }
    RETURN_IF_ERROR(transaction->DeleteService(name));
  }
  for (const auto& [name, service] : services) {
    const auto present = services_.find(name);
    if (present == services_.end()) continue;
    for (const auto& [endpoint, backend] : present->second.backends) {
      if (service.backends.contains(endpoint)) continue;
      RETURN_IF_ERROR(transaction->DeleteBackend(backend.id));
    }
  }
  for (const ServiceSpec& service : difference.changed.services) {
    const ServiceSpec* present = FindByName(intent_, service.name);
    const ServiceRuntime& runtime = services.at(service.name);
    if (present == nullptr || !SameSettings(*present, service)) {
      RETURN_IF_ERROR(transaction->PutService(runtime.id, service));
    }
    for (const BackendSpec& backend : service.backends) {
      const BackendSpec* old = present == nullptr ? nullptr : FindExact(*present, backend.endpoint);
      if (old != nullptr && *old == backend) continue;
      RETURN_IF_ERROR(
          transaction->PutBackend(runtime.backends.at(backend.endpoint).id, service.name, backend));
    }
  }
  return {};
}

void Registry::TakeOver(IntentSpec candidate, const Difference& difference, Ids services,
                        uint64_t generation) {
  for (const std::string& name : difference.removed) {
    const auto present = services_.find(name);
    Unindex(present->second);
    services_.erase(present);
  }
  for (auto& [name, service] : services) TakeOverService(name, std::move(service));
  intent_ = std::move(candidate);
  Committed(generation);
  intent_generation_ = generation;
  if (on_change_) on_change_();
}

// Backends that stay keep their node, and with it the pointers that others hold.
void Registry::TakeOverService(const std::string& name, ServiceRuntime service) {
  ServiceRuntime& present = services_[name];
  Unindex(present);
  std::map<Endpoint, BackendRuntime> merged;
  for (auto& [endpoint, backend] : service.backends) {
    auto node = present.backends.extract(endpoint);
    if (node.empty()) {
      merged.emplace_hint(merged.end(), endpoint, std::move(backend));
    } else {
      node.mapped() = std::move(backend);
      merged.insert(merged.end(), std::move(node));
    }
  }
  present.id = service.id;
  present.backends = std::move(merged);
  Index(&present);
}

void Registry::Unindex(const ServiceRuntime& service) {
  for (const auto& [endpoint, backend] : service.backends) by_id_.erase(backend.id);
}

void Registry::Index(ServiceRuntime* service) {
  for (auto& [endpoint, backend] : service->backends) by_id_[backend.id] = &backend;
}

}  // namespace fairlead
