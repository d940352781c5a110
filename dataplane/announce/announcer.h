// When to tell the network where frontends are, and how often.
//
// An address is announced by each port when it comes into force, when the dataplane starts and when
// the port's link comes up: three times within two seconds, since a frame may be lost and some
// receivers take no second change within one second (Linux: locktime). A port that the kernel does not
// see as an interface also reports its membership of IPv6 addresses' solicited-node groups then, and
// again every 20 s, or a switch that snoops MLD would forget it (RFC 3810, 9.4: after 260 s). Other
// ports' memberships are the kernel's (group_memberships.h).
//
// Announcements of a port are held back to its rate: many addresses take longer, none is left out.
//
// Knows no DPDK. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <queue>
#include <set>
#include <span>
#include <vector>

#include "dataplane/pipeline/token_bucket.h"
#include "lib/net/address.h"

namespace fairlead {

class Announcer {
 public:
  struct Port {
    MacAddress mac = {};
    bool announces = true;        // gratuitous ARP, unsolicited advertisements
    bool reports_groups = false;  // membership reports
  };
  // False: there is no room now. The frame is offered again.
  using Send = std::function<bool(uint16_t port_index, std::span<const uint8_t> frame)>;

  // `per_second`: frames of a port; 0: none is ever sent.
  Announcer(std::vector<Port> ports, uint32_t per_second, Send send);

  // The addresses in force. New ones are announced.
  void Follow(const std::set<IpAddress>& addresses, uint64_t now_us);
  // All addresses are announced by the port.
  void LinkUp(uint16_t port_index, uint64_t now_us);
  // Sends what is due. Returns when the next call is needed (`now_us` of it), UINT64_MAX: never.
  uint64_t Step(uint64_t now_us);

 private:
  struct Due {
    uint64_t at_us;
    IpAddress address;
    friend bool operator>(const Due& a, const Due& b) { return a.at_us > b.at_us; }
  };
  struct Entry {
    uint64_t at_us = 0;  // what is in the queue with another time is void
    uint32_t left = 0;   // announcements still to come
  };
  struct Lane {
    Port port;
    TokenBucket bucket;
    std::map<IpAddress, Entry> entries;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> queue;
  };

  void Plan(Lane* lane, const IpAddress& address, uint64_t now_us);
  // False: there is no room, or the rate is used up.
  bool SendOne(uint16_t index, Lane* lane, const IpAddress& address, uint64_t now_us);
  uint64_t StepLane(uint16_t index, Lane* lane, uint64_t now_us);

  std::vector<Lane> lanes_;  // by port index
  uint32_t per_second_;
  Send send_;
  std::set<IpAddress> addresses_;
};

}  // namespace fairlead
