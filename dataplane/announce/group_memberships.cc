#include "dataplane/announce/group_memberships.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <net/if.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include "lib/net/announcement.h"

namespace fairlead {
namespace {

ipv6_mreq RequestFor(const std::string& interface, const IpAddress& group) {
  ipv6_mreq request = {};
  std::ranges::copy(group.bytes(), request.ipv6mr_multiaddr.s6_addr);
  request.ipv6mr_interface = if_nametoindex(interface.c_str());
  return request;
}

}  // namespace

GroupMemberships::GroupMemberships(std::vector<std::string> interfaces) {
  for (std::string& name : interfaces) interfaces_.push_back({std::move(name), {}});
}

GroupMemberships::~GroupMemberships() {
  for (const Interface& interface : interfaces_) {
    for (const Socket& socket : interface.sockets) close(socket.fd);
  }
}

void GroupMemberships::Follow(const std::set<IpAddress>& addresses) {
  groups_.clear();
  for (const IpAddress& address : addresses) {
    if (!address.is_v4()) groups_.insert(SolicitedNodeGroup(address));
  }
  for (Interface& interface : interfaces_) Update(&interface);
}

void GroupMemberships::Retry() {
  for (Interface& interface : interfaces_) {
    if (interface.failed) Update(&interface);
  }
}

void GroupMemberships::Update(Interface* interface) {
  std::set<IpAddress> missing = groups_;
  for (Socket& socket : interface->sockets) {
    std::erase_if(socket.groups, [&](const IpAddress& group) {
      if (missing.erase(group) != 0) return false;
      const ipv6_mreq request = RequestFor(interface->name, group);
      setsockopt(socket.fd, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &request, sizeof(request));
      return true;
    });
  }
  for (const IpAddress& group : missing) {
    const int error = Join(interface, group);
    if (error == 0) continue;
    if (!interface->failed) {
      spdlog::warn(
          "interface {}: cannot join multicast group {}: {}; a switch that snoops MLD may not "
          "forward neighbour solicitations for IPv6 frontends to it",
          interface->name, group.ToString(), std::strerror(error));
    }
    interface->failed = true;
    return;
  }
  if (interface->failed) spdlog::info("interface {}: joined all multicast groups", interface->name);
  interface->failed = false;
}

int GroupMemberships::Join(Interface* interface, const IpAddress& group) {
  const auto has_space = [](const Socket& socket) {
    return socket.groups.size() < kGroupsPerSocket;
  };
  auto found = std::ranges::find_if(interface->sockets, has_space);
  if (found == interface->sockets.end()) {
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno;
    interface->sockets.push_back({fd, {}});
    found = interface->sockets.end() - 1;
  }
  const ipv6_mreq request = RequestFor(interface->name, group);
  if (setsockopt(found->fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof(request)) != 0 &&
      errno != EADDRINUSE) {
    return errno;
  }
  found->groups.insert(group);
  return 0;
}

}  // namespace fairlead
