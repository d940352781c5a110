// The list of resources. Declared in core/resource.h.
#include "controlplane/resources/resources.h"

namespace fairlead {
namespace {

constexpr const Resource* kBuiltIn[] = {&kSeedResource, &kServicesResource, &kDrainsResource};

}  // namespace

ResourceList BuiltInResources() { return kBuiltIn; }

}  // namespace fairlead
