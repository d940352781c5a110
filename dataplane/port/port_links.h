// The links of the ports: reads their states, logs changes, and gives each TAP the state of its
// port's link as its carrier. So the kernel knows that packets cannot leave, and health checks do
// not take a dead link for dead backends. Management thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "dataplane/port/port.h"
#include "lib/link/stats.h"

namespace fairlead {

class PortLinks {
 public:
  // Reads all states once. `came_up`: called with a port's index when its link is up again. `ports`
  // must outlive this.
  PortLinks(std::span<Port> ports, std::function<void(uint16_t port_index)> came_up);

  // Reads all states again if the last time is long enough ago. Returns the milliseconds until the
  // next call.
  int Step();
  // The state at the last reading. Unset for a port without a network.
  std::optional<LinkStats> Link(uint16_t port_index) const;

 private:
  void Read(size_t index, bool is_first);

  std::span<Port> ports_;
  std::function<void(uint16_t)> came_up_;
  std::vector<LinkStats> links_;  // by port index
  uint64_t next_us_ = 0;
};

// What the device itself counts of frames that no worker saw.
NicStats ReadNicStats(const Port& port);

}  // namespace fairlead
