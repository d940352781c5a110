// Asks the kernel over netlink (libnl-route) how to reach an address: route, neighbour, link. The
// kernel answers at once, so the functions are synchronous. One thread.
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

// The link by which packets leave. A VLAN interface is given as its parent plus a tag.
struct LinkAnswer {
  std::string interface;
  uint16_t vlan = 0;
};

// Whether this host can send packets to an address.
struct WayOut {
  bool has_route = true;
  // The route's interface, if it has no carrier. Empty: it has one, or that is not known.
  std::string no_carrier = {};
  std::string device = {};     // LinkAnswer::interface of no_carrier
  RouteAnswer route = {};      // interface_index 0: not known, or the address is this host's
  std::string interface = {};  // of the route
  bool has_neighbours = true;  // of the interface: false if it is point-to-point or without ARP
};

struct NeighbourEvent {
  int interface_index = 0;
  IpAddress address;
  std::optional<MacAddress> mac;  // nullopt: not known, or no longer
  bool has_answered = false;      // since it was last asked
  bool is_permanent = false;      // configured, so it is never asked
};

class KernelNetwork {
 public:
  static Result<std::unique_ptr<KernelNetwork>> Open();
  ~KernelNetwork();

  // kNotFound if there is no route, or only a local, blackhole or unreachable one.
  Result<RouteAnswer> FindRoute(const IpAddress& destination);
  // An address of this host has a way out.
  WayOut FindWayOut(const IpAddress& destination);
  // The default route (prefix length 0) that this host would use. kNotFound if there is none, or if
  // it has no gateway.
  Result<RouteAnswer> FindDefaultRoute(Family family);
  Result<LinkAnswer> FindLink(int interface_index);
  // Calls `visit` for every neighbour with a usable MAC.
  Status ListNeighbours(const std::function<void(const NeighbourEvent&)>& visit);
  // Calls `visit` for every address of this host, except those of the loopback interface.
  Status ListAddresses(
      const std::function<void(const IpAddress& address, const std::string& interface)>& visit);
  // Makes the kernel resolve or confirm the neighbour.
  void TriggerResolution(const RouteAnswer& route);
  // Makes the kernel ask a neighbour at once, although it may know its MAC and believe in it.
  // An event tells when it answers. False: not possible.
  bool AskNeighbour(const RouteAnswer& route, const MacAddress& mac);

  // This file descriptor becomes readable when something changed. Non-blocking.
  int event_fd() const;
  struct Callbacks {
    std::function<void(const NeighbourEvent&)> on_neighbour;
    std::function<void()> on_routes_or_links;
    std::function<void()> on_addresses;  // of this host
  };
  // Reads all pending events. Fails with kDataLoss if the kernel dropped some. The caller must then
  // reload everything.
  Status ReadEvents(const Callbacks& callbacks);

 private:
  struct FreeSocket {
    void operator()(nl_sock* socket) const;
  };
  KernelNetwork();

  std::unique_ptr<nl_sock, FreeSocket> requests_;
  std::unique_ptr<nl_sock, FreeSocket> events_;
};

}  // namespace fairlead
