// Announces the frontends on the ports, and keeps the ports in the groups that their neighbour
// solicitations go to (announce/announcer.h, announce/group_memberships.h). Management thread.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "dataplane/announce/announcer.h"
#include "dataplane/announce/group_memberships.h"
#include "dataplane/port/port.h"
#include "dataplane/worker/outgoing.h"
#include "lib/snapshot/view.h"

namespace fairlead {

class Announcements {
 public:
  // Borrows `ports` and `outgoing`. `per_second`: frames of a port.
  Announcements(std::span<const Port> ports, uint32_t per_second, Outgoing* outgoing);

  // After its tables are in force.
  void Follow(const SnapshotView& snapshot);
  // Sends what is due, and looks after the links. Returns for how many milliseconds that is all.
  int Step();
  // Every second or so.
  void Watch() { memberships_.Retry(); }

 private:
  void WatchLinks(uint64_t now_us);

  std::span<const Port> ports_;
  Announcer announcer_;
  std::vector<IpAddress> followed_;  // the frontends', in the snapshot's order
  GroupMemberships memberships_;
  std::vector<bool> up_;  // by port index
  uint64_t next_look_us_ = 0;
};

}  // namespace fairlead
