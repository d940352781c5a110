// Decides when and how often to tell the network where frontends are.
//
// Each port announces an address when it comes into force, when the dataplane starts and when the
// port's link comes up. It announces it three times within two seconds: a frame may be lost, and
// some receivers accept no second change within one second (Linux: locktime). It does so in each of
// its VLANs (`announce_vlans` of dataplane.yaml).
//
// At the same times, it reports its membership of the IPv6 addresses' solicited-node groups in these
// VLANs. It repeats the report every 20 s: a switch that snoops MLD forgets a membership after 260 s
// (RFC 3810, 9.4). Without a tag, it does so only if the kernel does not see the port as an
// interface: else the kernel reports the memberships (group_memberships.h).
//
// Each port has a rate limit for all these frames. With many addresses and VLANs they take longer;
// none is left out.
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
#include "lib/net/announcement.h"

namespace fairlead {

class Announcer {
 public:
  struct Port {
    MacAddress mac = {};
    bool announces = true;  // gratuitous ARP, unsolicited advertisements
    bool reports_untagged =
        false;  // membership reports without a tag; in VLANs they are always sent
    std::vector<uint16_t> vlans = {kUntagged};
  };
  // False: there is no space now. The announcer offers the frame again later.
  using Send = std::function<bool(uint16_t port_index, std::span<const uint8_t> frame)>;

  // `per_second`: frames per port, of all kinds; 0: no frame is ever sent.
  Announcer(std::vector<Port> ports, uint32_t per_second, Send send);

  // Sets the addresses in force. New ones are announced.
  void Follow(const std::set<IpAddress>& addresses, uint64_t now_us);
  // Announces all addresses on the port.
  void LinkUp(uint16_t port_index, uint64_t now_us);
  // Sends the frames that are due. Returns when the next call is needed; UINT64_MAX: never.
  uint64_t Step(uint64_t now_us);

 private:
  // An address in one of the port's VLANs.
  struct Target {
    IpAddress address;
    uint16_t vlan;
    friend auto operator<=>(const Target&, const Target&) = default;
  };
  struct Due {
    uint64_t at_us;
    Target target;
    friend auto operator<=>(const Due&, const Due&) = default;
  };
  struct Entry {
    uint64_t at_us = 0;     // queue entries of the target with another time are ignored
    uint32_t left = 0;      // announcements still to send
    bool reported = false;  // the report of this time is sent, its announcement is not
  };
  struct Lane {
    Port port;
    TokenBucket bucket;
    std::map<Target, Entry> entries;
    std::priority_queue<Due, std::vector<Due>, std::greater<>> queue;
  };

  static bool Reports(const Port& port, const Target& target);
  void Plan(Lane* lane, const IpAddress& address, uint64_t now_us);
  // Sends a report and an announcement. False: there is no space, or the rate limit is reached; the
  // next call sends what is missing.
  bool SendDue(uint16_t index, Lane* lane, const Target& target, Entry* entry, uint64_t now_us);
  uint64_t StepLane(uint16_t index, Lane* lane, uint64_t now_us);

  std::vector<Lane> lanes_;  // by port index
  uint32_t per_second_;
  Send send_;
  std::set<IpAddress> addresses_;
};

}  // namespace fairlead
