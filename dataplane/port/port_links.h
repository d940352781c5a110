// The links of the ports: reads their states, logs changes, and gives each TAP the state of its
// port's link as its carrier. So the kernel knows that packets cannot leave, and health checks do
// not take a dead link for dead backends. Also keeps the TAPs' MACs.
//
// A port's sockets stay with the interface that they were opened on. If that is deleted and made
// again, or if a TAP is deleted, only another start helps: the process ends (Removals::End).
//
// Management thread, unless a function says otherwise.
#pragma once

#include <rte_ethdev.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/port/port.h"
#include "dataplane/port/removals.h"
#include "lib/link/stats.h"

namespace fairlead {

class PortLinks {
 public:
  // Reads all states once. `came_up`: called with a port's index when its link is up again. `ports`
  // and `removals` must outlive this.
  PortLinks(std::span<Port> ports, std::function<void(uint16_t port_index)> came_up,
            Removals* removals);

  // Reads all states again if the last time is long enough ago. Returns the milliseconds until the
  // next call.
  int Step();
  // The state at the last reading. Unset for a port without a network. Any thread.
  std::optional<LinkStats> Link(uint16_t port_index) const;

 private:
  struct State {
    LinkStats link;
    uint64_t since_us = 0;  // steady; of link.is_up
    bool is_gone = false;   // no interface has the name of the port's
  };

  void Read(size_t index, bool is_first);

  std::span<Port> ports_;
  std::function<void(uint16_t)> came_up_;
  Removals* removals_;
  mutable std::mutex mutex_;   // held while states_ is accessed
  std::vector<State> states_;  // by port index
  uint64_t next_us_ = 0;
};

// What the device counts. Unset if its driver does not. Any thread: some drivers add up registers
// that are cleared when they are read, so one thread reads at a time.
std::optional<rte_eth_stats> ReadDeviceStats(const Port& port);
// Those of frames that no worker saw, and of frames that were not sent.
std::optional<NicStats> ReadNicStats(const Port& port);

}  // namespace fairlead
