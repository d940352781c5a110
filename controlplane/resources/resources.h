// The descriptors of fairleadd's resources. Each is defined in the file of its name.
#pragma once

#include "controlplane/core/resource.h"

namespace fairlead {

extern const Resource kSeedResource;
extern const Resource kServicesResource;
extern const Resource kDrainsResource;

// The routes of kServicesResource. Each group has its own file.
void AddServiceRoutes(Api* api, Router* router);
void AddBackendRoutes(Api* api, Router* router);

}  // namespace fairlead
