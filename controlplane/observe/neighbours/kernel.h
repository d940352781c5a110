// What the kernel knows about reaching an address, asked over netlink (libnl-route): the route, the
// neighbour, the link. Questions are answered by the kernel at once, so they are plain calls.
// One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "lib/base/result.h"
#include "lib/net/address.h"

struct nl_sock;

namespace fairlead {

struct RouteAnswer {
  int interface_index = 0;
  IpAddress neighbour;  // the gateway, or the address itself when it is on-link
  friend bool operator==(const RouteAnswer&, const RouteAnswer&) = default;
};

// A link as packets leave by it: a VLAN interface is its parent plus a tag.
struct LinkAnswer {
  std::string interface;
  uint16_t vlan = 0;
};

struct NeighbourEvent {
  int interface_index = 0;
  IpAddress address;
  std::optional<MacAddress> mac;  // nullopt: none known, or no longer
};

class KernelNetwork {
 public:
  static Result<std::unique_ptr<KernelNetwork>> Open();
  ~KernelNetwork();

  // kNotFound when there is no route, or only a local, blackhole or unreachable one.
  Result<RouteAnswer> FindRoute(const IpAddress& destination);
  // The default route (prefix length 0) that this host would use. kNotFound when there is none, or
  // none with a gateway.
  Result<RouteAnswer> FindDefaultRoute(Family family);
  Result<LinkAnswer> FindLink(int interface_index);
  // Calls `visit` for every neighbour with a usable MAC.
  Status ListNeighbours(const std::function<void(const NeighbourEvent&)>& visit);
  // Calls `visit` for every address of this host, but for those of the loopback interface.
  Status ListAddresses(
      const std::function<void(const IpAddress& address, const std::string& interface)>& visit);
  // Makes the kernel resolve, or confirm, the neighbour.
  void TriggerResolution(const RouteAnswer& route);

  // Becomes readable when something changed. Non-blocking.
  int event_fd() const;
  struct Callbacks {
    std::function<void(const NeighbourEvent&)> on_neighbour;
    std::function<void()> on_routes_or_links;
    std::function<void()> on_addresses;  // of this host
  };
  // Reads all events that are there. Fails with kDataLoss when the kernel had to drop some: the
  // caller asks for everything anew.
  Status ReadEvents(const Callbacks& callbacks);

 private:
  struct FreeSocket {
    void operator()(nl_sock* socket) const;
  };
  KernelNetwork();

  std::unique_ptr<nl_sock, FreeSocket> questions_;
  std::unique_ptr<nl_sock, FreeSocket> events_;
};

}  // namespace fairlead
