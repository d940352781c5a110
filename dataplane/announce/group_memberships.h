// Membership of the IPv6 frontends' solicited-node groups on the kernel's interfaces. The kernel
// reports a membership (MLD, RFC 3810) when it begins and whenever a querier asks. Without it, a
// switch that snoops MLD passes no neighbour solicitation to the port.
//
// Management thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "lib/net/address.h"

namespace fairlead {

class GroupMemberships {
 public:
  // `interfaces`: the kernel's interfaces to the ports' networks.
  explicit GroupMemberships(std::vector<std::string> interfaces);
  ~GroupMemberships();
  GroupMemberships(const GroupMemberships&) = delete;
  GroupMemberships& operator=(const GroupMemberships&) = delete;

  // Sets the frontends' addresses in force. IPv4 addresses need no membership.
  void Follow(const std::set<IpAddress>& addresses);
  // Retries joins that failed. Call it about once a second.
  void Retry();

 private:
  // The kernel limits the memberships of a socket by net.core.optmem_max.
  static constexpr size_t kGroupsPerSocket = 100;
  struct Socket {
    int fd = -1;
    std::set<IpAddress> groups;
  };
  struct Interface {
    std::string name;
    std::vector<Socket> sockets;
    bool failed = false;  // the last join failed, and a warning was logged
  };

  void Update(Interface* interface);
  // Returns the kernel's errno, or 0.
  int Join(Interface* interface, const IpAddress& group);

  std::vector<Interface> interfaces_;
  std::set<IpAddress> groups_;  // wanted
};

}  // namespace fairlead
