// Keeps the next hop (MAC, interface, VLAN) of every followed address: those of backends, and the
// default routes, which nat's replies to clients use. The kernel is the authority. NextHops asks it
// for each address's route, makes it resolve the neighbour, and follows changes of both by netlink
// events.
//
// The kernel garbage-collects neighbour entries. A MAC that it forgets stays in use until another
// MAC is known or the route changes. The health check finds out whether the backend answers. One
// thread (the executor's).
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
#include "lib/mode/mode.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

// Stands for the family's default route.
IpAddress UnspecifiedAddress(Family family);

class NextHops {
 public:
  // `on_change`: called when the next hop of an address, or a host address, changed.
  NextHops(boost::asio::any_io_executor executor, std::function<void()> on_change);
  ~NextHops();

  // If netlink is not available (kUnavailable), only static next hops work.
  Status Start();
  void Stop();

  // Follows the address from now on. If the kernel has already resolved it, its next hop is known
  // when this returns. An unspecified address (0.0.0.0, ::) stands for its family's default route.
  void Follow(const IpAddress& address);
  void Forget(const IpAddress& address);
  // An address whose route leads to one of these has no next hop: its packets would come back to
  // this host.
  void SetFrontends(std::set<IpAddress> frontends);
  // The followed addresses that are new, or whose next hop or route has changed, since the last
  // call.
  std::set<IpAddress> TakeChanged() { return std::exchange(changed_, {}); }
  std::optional<SnapshotNextHop> Find(const IpAddress& address) const;
  // As Find(), for a backend of this mode: nullopt also if IsBehindGateway().
  std::optional<SnapshotNextHop> FindFor(const ModeDescriptor& mode,
                                         const IpAddress& address) const;
  // True if the mode needs the backend on-link, but its route leads through a gateway.
  bool IsBehindGateway(const ModeDescriptor& mode, const IpAddress& address) const;
  // Why Find() returns nullopt: "no route to 10.0.0.11: ..." or "waiting for the MAC of 10.0.0.1 on
  // eth1".
  std::string MissingReason(const IpAddress& address) const;
  // Why FindFor() returns nullopt. May ask the kernel for the name of an interface.
  std::string MissingReasonFor(const ModeDescriptor& mode, const IpAddress& address) const;
  // Asks the kernel. If that is not possible, the answer is that there is a way out.
  WayOut FindWayOut(const IpAddress& address) const {
    return kernel_ == nullptr ? WayOut{} : kernel_->FindWayOut(address);
  }
  // Makes the kernel ask the neighbour at once whether it is there. False: it cannot be asked.
  bool Ask(const RouteAnswer& neighbour);
  // When it last answered. nullopt: not since it was asked, or it was never asked.
  std::optional<SteadyTime> AnsweredAt(const RouteAnswer& neighbour) const;
  // Up to `most` neighbours on a link: followed addresses that are on-link, the gateways of others,
  // and the default gateway. Chosen from all of them evenly.
  std::set<IpAddress> OnLinkWitnesses(int interface_index, size_t most) const;
  // This host's addresses, except those of the loopback interface, with their interfaces.
  // `on_change` is called when they change.
  const std::map<IpAddress, std::string>& host_addresses() const { return host_addresses_; }
  // True if the route is known but the MAC is not.
  bool Waiting(const IpAddress& address) const;

 private:
  using NeighbourKey = std::pair<int, IpAddress>;
  struct Entry {
    std::optional<RouteAnswer> route;
    std::optional<SnapshotNextHop> next_hop;
    std::string missing;
    std::optional<IpAddress> leads_back_to = {};  // the gateway is this frontend; `route` is empty
  };

  boost::asio::awaitable<void> ReadLoop();
  boost::asio::awaitable<void> RefreshLoop();
  void OnNeighbour(const NeighbourEvent& event);
  void ReloadNeighbours();
  void SetPermanent(const NeighbourKey& key, bool is_permanent);
  // True when they changed.
  bool ReloadHostAddresses();
  // True when the entry's next hop or route changed.
  bool Route(const IpAddress& address, Entry* entry);
  // Whether Route() would give another result for this set of frontends.
  bool DiffersWith(const std::set<IpAddress>& frontends, const Entry& entry) const;
  bool Resolve(const IpAddress& address, Entry* entry);
  void RouteAll(bool only_missing);
  // The result of Find() or IsBehindGateway() for this address may have changed.
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
  std::map<NeighbourKey, MacAddress> neighbours_;   // all of the kernel's, by the last event
  std::set<NeighbourKey> permanent_;                // those of them that are never asked
  std::map<NeighbourKey, SteadyTime> answered_at_;  // of neighbours that were asked; 0: not yet
};

}  // namespace fairlead
