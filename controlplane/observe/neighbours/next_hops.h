// Keeps the next hop (MAC, interface, VLAN) of every address that backends have, as the kernel
// routes it, and that of the default routes, which nat's replies to clients take. The kernel is the
// authority: each address has its route asked for, its neighbour resolved by the kernel, and both
// are followed by netlink events.
//
// A MAC that the kernel forgets (its neighbour entries are garbage collected) stays in use until
// another one is known or the route goes elsewhere; whether the backend answers is the health
// check's business. One thread (the executor's).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/event.h"
#include "controlplane/observe/neighbours/kernel.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

// Stands for the family's default route.
IpAddress UnspecifiedAddress(Family family);

class NextHops {
 public:
  // `on_change`: the next hop of some address changed.
  NextHops(boost::asio::any_io_executor executor, std::function<void()> on_change);
  ~NextHops();

  // Without netlink (kUnavailable) only static next hops work.
  Status Start();
  void Stop();

  // Follows the address from now on. When the kernel has resolved it already, it is known when this
  // returns. An unspecified address (0.0.0.0, ::) stands for its family's default route.
  void Follow(const IpAddress& address);
  void Forget(const IpAddress& address);
  // What is routed by way of one of these has no next hop: its packets would come back here.
  void SetFrontends(std::set<IpAddress> frontends);
  // The followed addresses whose next hop changed since the last call, or is new.
  std::set<IpAddress> TakeChanged() { return std::exchange(changed_, {}); }
  std::optional<SnapshotNextHop> Find(const IpAddress& address) const;
  // Why Find() has nothing: "no route to 10.0.0.11: ..." or "waiting for the MAC of 10.0.0.1 on
  // eth1".
  std::string Missing(const IpAddress& address) const;
  // This host's addresses, but for those of the loopback interface, and the interfaces that have them.
  // `on_change` tells of changes.
  const std::map<IpAddress, std::string>& host_addresses() const { return host_addresses_; }
  // True when there is a route but nobody has told the MAC yet.
  bool Waiting(const IpAddress& address) const;

 private:
  using NeighbourKey = std::pair<int, IpAddress>;
  struct Entry {
    std::optional<RouteAnswer> route;
    std::optional<SnapshotNextHop> next_hop;
    std::string missing;
    std::optional<IpAddress> leads_back_to = {};  // a frontend; then there is no `route`
  };

  boost::asio::awaitable<void> ReadLoop();
  boost::asio::awaitable<void> RefreshLoop();
  void OnNeighbour(const NeighbourEvent& event);
  void ReloadNeighbours();
  // True when they changed.
  bool ReloadHostAddresses();
  // True when the entry's next hop changed.
  bool Route(const IpAddress& address, Entry* entry);
  // Whether Route() would say something else for this set of frontends.
  bool OtherWith(const std::set<IpAddress>& frontends, const Entry& entry) const;
  bool Resolve(const IpAddress& address, Entry* entry);
  void RouteAll(bool only_missing);
  // What Find() says of the address is not what it said.
  void Changed(const IpAddress& address) { changed_.insert(address); }

  boost::asio::any_io_executor executor_;
  std::function<void()> on_change_;
  std::unique_ptr<KernelNetwork> kernel_;
  std::unique_ptr<boost::asio::posix::stream_descriptor> events_;
  Event wake_;  // wakes RefreshLoop
  bool routes_changed_ = false;
  bool stopped_ = false;
  std::map<IpAddress, Entry> entries_;
  std::set<IpAddress> frontends_;
  std::set<IpAddress> changed_;
  std::map<IpAddress, std::string> host_addresses_;
  std::map<NeighbourKey, MacAddress> neighbours_;  // all that the kernel has, by last event
};

}  // namespace fairlead
