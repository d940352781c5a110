#include "dataplane/steering/steering_set.h"

namespace fairlead {

SteeringSet SteeringSetOf(const SnapshotView& snapshot) {
  SteeringSet set;
  for (const FrontendRecord& frontend : snapshot.frontends()) {
    set.frontends.push_back(AddressOf(frontend));
    const ServiceRecord& service = snapshot.services()[frontend.service_index];
    if (!ModeOf(service).translates_replies) continue;
    for (const BackendRecord& backend : snapshot.backends_of(service)) {
      if (backend.family != frontend.family) continue;
      const bool keeps_port = backend.port == 0;
      set.sources.push_back({AddressOf(backend), static_cast<Protocol>(frontend.protocol),
                             keeps_port ? frontend.port : backend.port,
                             keeps_port ? frontend.last_port : uint16_t{0}});
    }
  }
  return set;
}

}  // namespace fairlead
