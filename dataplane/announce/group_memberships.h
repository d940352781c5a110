// Membership of the IPv6 frontends' solicited-node groups on the kernel's interfaces. The kernel
// reports it (MLD, RFC 3810) when it begins, and whenever a querier asks; without, a switch that snoops
// MLD passes no neighbour solicitation to the port.
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
  // `interfaces`: of the kernel, towards the network.
  explicit GroupMemberships(std::vector<std::string> interfaces);
  ~GroupMemberships();
  GroupMemberships(const GroupMemberships&) = delete;
  GroupMemberships& operator=(const GroupMemberships&) = delete;

  // The frontends' addresses in force; IPv4 ones need nothing.
  void Follow(const std::set<IpAddress>& addresses);
  // Tries again what failed. Every second or so.
  void Retry();

 private:
  // The kernel bounds the memberships of a socket by its memory (net.core.optmem_max).
  static constexpr size_t kGroupsPerSocket = 100;
  struct Socket {
    int fd = -1;
    std::set<IpAddress> groups;
  };
  struct Interface {
    std::string name;
    std::vector<Socket> sockets;
    bool failed = false;  // and it was told
  };

  void Update(Interface* interface);
  // The error of the kernel, or 0.
  int Join(Interface* interface, const IpAddress& group);

  std::vector<Interface> interfaces_;
  std::set<IpAddress> groups_;  // wanted
};

}  // namespace fairlead
