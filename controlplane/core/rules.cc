#include "controlplane/core/rules.h"

#include <algorithm>
#include <vector>

#include "controlplane/common/ca_file.h"
#include "controlplane/core/status_board.h"
#include "lib/base/check.h"
#include "lib/intent/checks/checked_frontends.h"

namespace fairlead {
namespace {

size_t IndexOf(const ServiceIntent& service, const BackendIntent& backend) {
  const auto found = std::ranges::lower_bound(
      service.backends, backend.spec.endpoint, {},
      [](const auto& candidate) -> const Endpoint& { return candidate->spec.endpoint; });
  return static_cast<size_t>(found - service.backends.begin());
}

void AddBackendEdits(const ServiceIntent* before, const ServiceIntent* after, ServiceEdit* edit) {
  const bool keeps = ServiceEdit::KeepsIndex(edit->before, edit->after);
  const auto compared = keeps ? CompareBackends(before, after) : std::vector<BackendDifference>{};
  for (const auto& [old, fresh] : compared) {
    if (old != nullptr && fresh != nullptr) continue;
    if (old != nullptr) edit->removed.push_back(old->spec.endpoint);
    if (fresh != nullptr) edit->added.push_back({fresh->spec.endpoint, IndexOf(*after, *fresh)});
  }
  if (keeps) return;
  if (before != nullptr) {
    for (const auto& backend : before->backends) edit->removed.push_back(backend->spec.endpoint);
  }
  if (after == nullptr) return;
  for (size_t i = 0; i < after->backends.size(); ++i) {
    edit->added.push_back({after->backends[i]->spec.endpoint, i});
  }
}

// The differences. Paths number the services as if the changed ones came last.
std::vector<ServiceEdit> EditsBetween(const Intent& before, const Intent& after) {
  const std::vector<IntentDifference::Service> services = Compare(before, after).services;
  size_t index = after.services.size();
  for (const auto& service : services) index -= service.after != nullptr ? 1 : 0;
  std::vector<ServiceEdit> edits;
  edits.reserve(services.size());
  for (const auto& service : services) {
    ServiceEdit& edit = edits.emplace_back();
    if (service.before != nullptr) edit.before = &service.before->settings;
    if (service.after != nullptr) {
      edit.after = &service.after->settings;
      edit.path = "services[" + std::to_string(index++) + "].";
    }
    AddBackendEdits(service.before, service.after, &edit);
  }
  return edits;
}

}  // namespace

Status RuleBook::JudgeOwnAddresses(const ServiceSpec& service, const ServiceIntent* present,
                                   std::string_view path) const {
  if (own_addresses_ == nullptr) return {};
  for (size_t i = 0; i < service.frontends.size(); ++i) {
    const Frontend& frontend = service.frontends[i];
    if (present != nullptr && std::ranges::count(present->settings.frontends, frontend) != 0) {
      continue;
    }
    const auto own = own_addresses_->find(frontend.address);
    if (own == own_addresses_->end()) continue;
    return FailedPrecondition(std::string(path) + "frontends[" + std::to_string(i) + "]: " +
                              frontend.ToString() + " is an address of this host (" + own->second +
                              "), and a service on it would cut the host off; use another address, "
                              "or move this one to the loopback interface");
  }
  return {};
}

Status RuleBook::JudgeCheckPath(const ServiceSpec& service, std::string_view path) const {
  if (service.health_check.via != CheckVia::kDataplane || dataplane_ == nullptr ||
      !dataplane_->connected) {
    return {};
  }
  for (const CheckedFrontend& each : CheckedFrontends(service)) {
    const Family family = service.frontends[each.index].address.family();
    const auto is_of_family = [&](const IpAddress& own) { return own.family() == family; };
    if (std::ranges::any_of(dataplane_->own_addresses, is_of_family)) continue;
    return FailedPrecondition(std::string(path) + "health_check.via: dataplane needs an " +
                              (family == Family::kIpv4 ? "IPv4" : "IPv6") +
                              " address of a port of the dataplane, as the probes' source; set "
                              "`addresses` of a port in dataplane.yaml, or use direct");
  }
  return {};
}

// Files of an unchanged check are not read again: a change of something else does not need them.
Status RuleBook::JudgeCaFiles(const ServiceSpec& service, const ServiceIntent* present,
                              std::string_view path) const {
  const HealthCheck& check = service.health_check;
  if (present != nullptr && present->settings.health_check == check) return {};
  for (size_t i = 0; i < check.settings.size(); ++i) {
    const CheckField& field = check.type->fields[i];
    const auto* file = std::get_if<std::string>(&check.settings[i]);
    if (!field.is_ca_file || file == nullptr || file->empty()) continue;
    const Status loaded = LoadCaFile(*file).status();
    if (loaded.ok()) continue;
    return InvalidArgument(std::string(path) + "health_check." + std::string(field.name) + ": " +
                           loaded.message());
  }
  return {};
}

Status RuleBook::ValidateNew(const ServiceSpec& service, const ServiceIntent* present,
                             std::string_view path) const {
  const bool is_as_before = present != nullptr &&
                            present->settings.frontends == service.frontends &&
                            present->settings.forwarding == service.forwarding &&
                            present->settings.health_check == service.health_check;
  if (!is_as_before) {
    RETURN_IF_ERROR(ValidateNewService(service, path));
    RETURN_IF_ERROR(JudgeCheckPath(service, path));
  }
  RETURN_IF_ERROR(JudgeCaFiles(service, present, path));
  return JudgeOwnAddresses(service, present, path);
}

// If the settings are unchanged, validates only the backends that changed.
Status RuleBook::JudgeService(const ServiceIntent* before, const ServiceIntent& after,
                              const std::string& path) const {
  if (before == nullptr || before->settings != after.settings) {
    const ServiceSpec spec = after.Spec();
    RETURN_IF_ERROR(ValidateServiceAt(spec, path));
    return ValidateNew(spec, before, path);
  }
  RETURN_IF_ERROR(ValidateBackendCount(after.backends.size(), path));
  for (const BackendDifference& backend : CompareBackends(before, &after)) {
    if (backend.after == nullptr) continue;
    const std::string at =
        path + "backends[" + std::to_string(IndexOf(after, *backend.after)) + "]";
    RETURN_IF_ERROR(ValidateBackendAt(after.settings, backend.after->spec, at));
  }
  return {};
}

void RuleBook::Index(const IntentView& view) {
  if (index_.is_broken()) {
    auto nothing = std::make_shared<Intent>();  // first, since it may run out of memory
    index_.Clear();
    indexed_ = std::move(nothing);
  }
  if (indexed_ == view) return;
  const Status indexed = index_.Change(EditsBetween(*indexed_, *view));
  CHECK(indexed.ok());
  indexed_ = view;
}

Status RuleBook::Load(const IntentView& stored) {
  const auto nothing = std::make_shared<Intent>();
  const std::vector<ServiceEdit> edits = EditsBetween(*nothing, *stored);
  for (const ServiceEdit& edit : edits) {
    RETURN_IF_ERROR(ValidateServiceAt(stored->Find(edit.after->name)->Spec(), edit.path));
  }
  Index(nothing);
  RETURN_IF_ERROR(index_.Change(edits));
  indexed_ = stored;
  return {};
}

Status RuleBook::Validate(const IntentView& before, const IntentView& after) {
  Index(before);
  const std::vector<ServiceEdit> edits = EditsBetween(*before, *after);
  for (const ServiceEdit& edit : edits) {
    if (edit.after == nullptr) continue;
    RETURN_IF_ERROR(
        JudgeService(before->Find(edit.after->name), *after->Find(edit.after->name), edit.path));
  }
  RETURN_IF_ERROR(index_.Change(edits));
  indexed_ = after;
  return {};
}

}  // namespace fairlead
