// Announces the frontends on the ports (announce/announcer.h), and keeps the ports members of the
// multicast groups of the frontends' neighbour solicitations (announce/group_memberships.h).
// Management thread.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "dataplane/announce/announcer.h"
#include "dataplane/announce/group_memberships.h"
#include "dataplane/port/port.h"
#include "dataplane/worker/management_frames.h"
#include "lib/snapshot/view.h"

namespace fairlead {

class Announcements {
 public:
  // `ports` and `frames` must outlive this. `per_second`: frames per port.
  Announcements(std::span<const Port> ports, uint32_t per_second, ManagementFrames* frames);

  // Announces the snapshot's new frontends. Call it after its tables are in force.
  void Follow(const SnapshotView& snapshot);
  // Announces everything again on a port whose link came up.
  void LinkUp(uint16_t port_index);
  // Sends frames that are due. Returns the milliseconds until the next call.
  int Step();
  // Call it about once a second.
  void Watch() { memberships_.Retry(); }

 private:
  Announcer announcer_;
  std::vector<IpAddress> followed_;  // the frontends', in the snapshot's order
  GroupMemberships memberships_;
};

}  // namespace fairlead
