// Decides when and how often to tell the network where frontends are.
//
// Each port announces an address when it comes into force, when the dataplane starts and when the
// port's link comes up. It announces it three times within two seconds: a frame may be lost, and
// some receivers accept no second change within one second (Linux: locktime).
//
// At the same times, a port that the kernel does not see as an interface reports its membership of
// the IPv6 addresses' solicited-node groups. It repeats the report every 20 s: a switch that snoops
// MLD forgets a membership after 260 s (RFC 3810, 9.4). The kernel reports the memberships of all
// other ports (group_memberships.h).
//
// Each port has a rate limit. With many addresses the announcements take longer; none is left out.
//
// No DPDK. One thread.
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
  // False: there is no space now. The announcer offers the frame again later.
  using Send = std::function<bool(uint16_t port_index, std::span<const uint8_t> frame)>;

  // `per_second`: frames per port; 0: no frame is ever sent.
  Announcer(std::vector<Port> ports, uint32_t per_second, Send send);

  // Sets the addresses in force. New ones are announced.
  void Follow(const std::set<IpAddress>& addresses, uint64_t now_us);
  // Announces all addresses on the port.
  void LinkUp(uint16_t port_index, uint64_t now_us);
  // Sends the frames that are due. Returns when the next call is needed; UINT64_MAX: never.
  uint64_t Step(uint64_t now_us);

 private:
  struct Due {
    uint64_t at_us;
    IpAddress address;
    friend bool operator>(const Due& a, const Due& b) { return a.at_us > b.at_us; }
  };
  struct Entry {
    uint64_t at_us = 0;  // queue entries of the address with another time are ignored
    uint32_t left = 0;   // announcements still to send
  };
  struct Lane {
    Port port;
    TokenBucket bucket;
    std::map<IpAddress, Entry> entries;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> queue;
  };

  void Plan(Lane* lane, const IpAddress& address, uint64_t now_us);
  // False: there is no space, or the rate limit is reached.
  bool SendOne(uint16_t index, Lane* lane, const IpAddress& address, uint64_t now_us);
  uint64_t StepLane(uint16_t index, Lane* lane, uint64_t now_us);

  std::vector<Lane> lanes_;  // by port index
  uint32_t per_second_;
  Send send_;
  std::set<IpAddress> addresses_;
};

}  // namespace fairlead
