#include "controlplane/core/intent.h"

#include <algorithm>

#include "lib/intent/derive.h"

namespace fairlead {
namespace {

const Endpoint& EndpointOf(const std::shared_ptr<const BackendIntent>& backend) {
  return backend->spec.endpoint;
}

const std::string& NameOf(const std::shared_ptr<const ServiceIntent>& service) {
  return service->name();
}

// Calls visit(before, after) for each element that is not the same object in both lists. A null
// pointer means that the list does not have the element. REQUIRES lists sorted by `key`.
template <typename Element, typename Key, typename Visit>
void VisitDifferences(const std::vector<std::shared_ptr<const Element>>& before,
                      const std::vector<std::shared_ptr<const Element>>& after, Key key,
                      Visit visit) {
  auto old = before.begin();
  auto present = after.begin();
  while (old != before.end() || present != after.end()) {
    // Nearly all elements are shared. For those no key is compared.
    if (old != before.end() && present != after.end() && *old == *present) {
      ++old;
      ++present;
    } else if (present == after.end() || (old != before.end() && key(*old) < key(*present))) {
      visit((old++)->get(), static_cast<const Element*>(nullptr));
    } else if (old == before.end() || key(*present) < key(*old)) {
      visit(static_cast<const Element*>(nullptr), (present++)->get());
    } else {
      visit((old++)->get(), (present++)->get());
    }
  }
}

}  // namespace

const BackendIntent* ServiceIntent::FindExact(const Endpoint& endpoint) const {
  const auto found = std::ranges::lower_bound(backends, endpoint, {}, EndpointOf);
  return found != backends.end() && EndpointOf(*found) == endpoint ? found->get() : nullptr;
}

const BackendIntent* ServiceIntent::FindByRequest(const Endpoint& endpoint) const {
  if (const BackendIntent* exact = FindExact(endpoint); exact != nullptr) return exact;
  if (!NamesPort(settings, endpoint.port)) return nullptr;
  return FindExact({endpoint.address, 0});
}

ServiceSpec ServiceIntent::Spec() const {
  ServiceSpec spec = settings;
  spec.backends.reserve(backends.size());
  for (const auto& backend : backends) spec.backends.push_back(backend->spec);
  return spec;
}

const ServiceIntent* Intent::Find(const std::string& name) const {
  const auto found = std::ranges::lower_bound(services, name, {}, NameOf);
  return found != services.end() && NameOf(*found) == name ? found->get() : nullptr;
}

size_t Intent::backend_count() const {
  size_t count = 0;
  for (const auto& service : services) count += service->backends.size();
  return count;
}

bool Intent::NeedsClientNextHop(Family family) const {
  return std::ranges::any_of(services, [&](const auto& service) {
    return ServiceNeedsClientNextHop(service->settings, family);
  });
}

IntentSpec Intent::Spec() const {
  IntentSpec spec;
  spec.hash_seed = hash_seed;
  spec.services.reserve(services.size());
  for (const auto& service : services) spec.services.push_back(service->Spec());
  return spec;
}

IntentDifference Compare(const Intent& before, const Intent& after) {
  IntentDifference difference;
  VisitDifferences(before.services, after.services, NameOf,
                   [&](const ServiceIntent* old, const ServiceIntent* present) {
                     difference.services.push_back({old, present});
                   });
  return difference;
}

std::vector<BackendDifference> CompareBackends(const ServiceIntent* before,
                                               const ServiceIntent* after) {
  static const std::vector<std::shared_ptr<const BackendIntent>> kNone;
  std::vector<BackendDifference> differences;
  VisitDifferences(before == nullptr ? kNone : before->backends,
                   after == nullptr ? kNone : after->backends, EndpointOf,
                   [&](const BackendIntent* old, const BackendIntent* present) {
                     differences.push_back({old, present});
                   });
  return differences;
}

}  // namespace fairlead
