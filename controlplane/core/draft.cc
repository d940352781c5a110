#include "controlplane/core/draft.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace fairlead {
namespace {

constexpr auto kEndpointOf = [](const auto& backend) -> const Endpoint& {
  return backend->spec.endpoint;
};
constexpr auto kNameOf = [](const auto& service) -> const std::string& { return service->name(); };

}  // namespace

IntentDraft::IntentDraft(IntentView base, uint64_t revision, IdsInUse* ids)
    : base_(std::move(base)), next_(std::make_shared<Intent>(*base_)), ids_(ids) {
  next_->revision = revision;
}

ServiceIntent* IntentDraft::Edit(const std::string& name) {
  const auto edited = edited_.find(name);
  if (edited != edited_.end()) return edited->second.get();
  const auto found = std::ranges::lower_bound(next_->services, name, {}, kNameOf);
  CHECK(found != next_->services.end() && (*found)->name() == name);
  auto copy = std::make_shared<ServiceIntent>(**found);
  *found = copy;
  return edited_.emplace(name, std::move(copy)).first->second.get();
}

std::shared_ptr<const BackendIntent> IntentDraft::NewBackend(const std::string& service,
                                                             const BackendSpec& spec,
                                                             const std::string& owner) {
  auto backend = std::make_shared<BackendIntent>();
  for (uint32_t attempt = 0; backend->id == 0; ++attempt) {
    const uint32_t id = ProposeBackendId(service, spec.endpoint, attempt);
    if (!ids_->backends.insert(id).second) continue;
    taken_.backends.insert(id);
    backend->id = id;
  }
  backend->spec = spec;
  backend->owner = owner;
  backend->revision = next_->revision;
  return backend;
}

void IntentDraft::PutService(ServiceSpec spec, const std::string& owner) {
  const std::string name = spec.name;
  std::vector<BackendSpec> backends = std::exchange(spec.backends, {});
  std::ranges::sort(backends, {}, &BackendSpec::endpoint);
  if (next_->Find(name) == nullptr) {
    auto fresh = std::make_shared<ServiceIntent>();
    for (uint32_t attempt = 0; fresh->id == 0; ++attempt) {
      const uint32_t id = ProposeServiceId(name, attempt);
      if (!ids_->services.insert(id).second) continue;
      taken_.services.insert(id);
      fresh->id = id;
    }
    fresh->settings.name = name;
    const auto place = std::ranges::lower_bound(next_->services, name, {}, kNameOf);
    next_->services.insert(place, fresh);
    edited_[name] = std::move(fresh);
  }
  ServiceIntent* service = Edit(name);
  service->settings = std::move(spec);
  std::vector<std::shared_ptr<const BackendIntent>> merged;
  merged.reserve(backends.size());
  for (const BackendSpec& backend : backends) {
    const auto present =
        std::ranges::lower_bound(service->backends, backend.endpoint, {}, kEndpointOf);
    if (present == service->backends.end() || (*present)->spec.endpoint != backend.endpoint) {
      merged.push_back(NewBackend(name, backend, owner));
    } else if ((*present)->spec == backend) {
      merged.push_back(*present);
    } else {
      auto changed = std::make_shared<BackendIntent>(**present);
      changed->spec = backend;
      changed->revision = next_->revision;
      merged.push_back(std::move(changed));
    }
  }
  service->backends = std::move(merged);
}

void IntentDraft::RemoveService(const std::string& name) {
  edited_.erase(name);
  const auto found = std::ranges::lower_bound(next_->services, name, {}, kNameOf);
  CHECK(found != next_->services.end() && (*found)->name() == name);
  next_->services.erase(found);
}

void IntentDraft::AddBackend(const std::string& service, const BackendSpec& spec,
                             const std::string& owner) {
  ServiceIntent* edited = Edit(service);
  const auto place = std::ranges::lower_bound(edited->backends, spec.endpoint, {}, kEndpointOf);
  edited->backends.insert(place, NewBackend(service, spec, owner));
}

void IntentDraft::PutBackend(const std::string& service, const BackendSpec& spec) {
  ServiceIntent* edited = Edit(service);
  const auto found = std::ranges::lower_bound(edited->backends, spec.endpoint, {}, kEndpointOf);
  CHECK(found != edited->backends.end() && (*found)->spec.endpoint == spec.endpoint);
  auto changed = std::make_shared<BackendIntent>(**found);
  changed->spec = spec;
  changed->revision = next_->revision;
  *found = std::move(changed);
}

void IntentDraft::SetDrain(const std::string& service, const Endpoint& endpoint,
                           const std::optional<DrainIntent>& drain) {
  ServiceIntent* edited = Edit(service);
  const auto found = std::ranges::lower_bound(edited->backends, endpoint, {}, kEndpointOf);
  CHECK(found != edited->backends.end() && (*found)->spec.endpoint == endpoint);
  auto changed = std::make_shared<BackendIntent>(**found);
  changed->drain = drain;
  changed->revision = next_->revision;
  *found = std::move(changed);
}

void IntentDraft::RemoveBackend(const std::string& service, const Endpoint& endpoint) {
  ServiceIntent* edited = Edit(service);
  const auto found = std::ranges::lower_bound(edited->backends, endpoint, {}, kEndpointOf);
  CHECK(found != edited->backends.end() && (*found)->spec.endpoint == endpoint);
  edited->backends.erase(found);
}

bool IntentDraft::HasChanged() {
  for (const auto& [name, service] : edited_) {
    const auto place = std::ranges::lower_bound(next_->services, name, {}, kNameOf);
    const auto before = std::ranges::lower_bound(base_->services, name, {}, kNameOf);
    if (before == base_->services.end() || (*before)->name() != name) continue;
    if ((*before)->settings == service->settings && (*before)->id == service->id &&
        (*before)->backends == service->backends) {
      *place = *before;
    }
  }
  for (auto& [type, content] : next_->contents) {
    const auto before = base_->contents.find(type);
    if (before != base_->contents.end() && before->second->Equals(*content)) {
      content = before->second;
    }
  }
  return changed_ || next_->hash_seed != base_->hash_seed || next_->services != base_->services ||
         next_->contents != base_->contents;
}

IntentView IntentDraft::Finish() { return std::move(next_); }

void IntentDraft::Abandon() {
  for (const uint32_t id : taken_.services) ids_->services.erase(id);
  for (const uint32_t id : taken_.backends) ids_->backends.erase(id);
}

void ReleaseIds(const Intent& before, const Intent& after, IdsInUse* ids) {
  for (const IntentDifference::Service& service : Compare(before, after).services) {
    if (service.after == nullptr) ids->services.erase(service.before->id);
    for (const BackendDifference& backend : CompareBackends(service.before, service.after)) {
      const bool replaced = backend.after != nullptr && backend.before != nullptr &&
                            backend.after->id == backend.before->id;
      if (backend.before != nullptr && !replaced) ids->backends.erase(backend.before->id);
    }
  }
}

}  // namespace fairlead
