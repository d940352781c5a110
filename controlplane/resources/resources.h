// The descriptors of fairleadd's resources. Each is in the file of its name.
#pragma once

#include "controlplane/core/resource.h"

namespace fairlead {

extern const Resource kSeedResource;
extern const Resource kServicesResource;
extern const Resource kDrainsResource;

// The routes of services.cc that have files of their own.
void AddServiceRoutes(Api* api, Router* router);
void AddBackendRoutes(Api* api, Router* router);

}  // namespace fairlead
