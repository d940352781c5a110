#include "controlplane/core/history.h"

#include <nlohmann/json.hpp>

namespace fairlead {

std::string DescribeChanges(ResourceList resources, const Intent& before, const Intent& after) {
  const IntentChange change(before, after);
  nlohmann::json changes = nlohmann::json::array();
  for (const Resource* resource : resources) {
    if (resource->describe != nullptr) resource->describe(change, &changes);
  }
  return changes.dump();
}

}  // namespace fairlead
