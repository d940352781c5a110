#include "controlplane/core/history.h"

#include <nlohmann/json.hpp>

#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

Json Settings(const ServiceIntent* service) {
  if (service == nullptr) return nullptr;
  Json json = ServiceToJson(service->settings);
  json.erase("backends");
  return json;
}

Json Backend(const BackendIntent* backend) {
  if (backend == nullptr) return nullptr;
  Json json = BackendToJson(backend->spec);
  if (!backend->owner.empty()) json["owner"] = backend->owner;
  if (backend->drain.has_value()) {
    json["drain"] = {{"started_ms", backend->drain->started_ms},
                     {"deadline_ms", backend->drain->deadline_ms}};
  }
  return json;
}

void DescribeService(const IntentDifference::Service& service, Json* changes) {
  const std::string& name = (service.after != nullptr ? service.after : service.before)->name();
  const bool settings_differ = service.before == nullptr || service.after == nullptr ||
                               service.before->settings != service.after->settings;
  if (settings_differ) {
    changes->push_back({{"service", name},
                        {"before", Settings(service.before)},
                        {"after", Settings(service.after)}});
  }
  for (const BackendDifference& backend : CompareBackends(service.before, service.after)) {
    const BackendIntent& known = backend.after != nullptr ? *backend.after : *backend.before;
    changes->push_back({{"service", name},
                        {"backend", known.spec.endpoint.ToString()},
                        {"before", Backend(backend.before)},
                        {"after", Backend(backend.after)}});
  }
}

}  // namespace

std::string DescribeChanges(const Intent& before, const Intent& after) {
  Json changes = Json::array();
  if (before.hash_seed != after.hash_seed) {
    changes.push_back({{"hash_seed", {{"before", before.hash_seed}, {"after", after.hash_seed}}}});
  }
  for (const IntentDifference::Service& service : Compare(before, after).services) {
    DescribeService(service, &changes);
  }
  return changes.dump();
}

}  // namespace fairlead
