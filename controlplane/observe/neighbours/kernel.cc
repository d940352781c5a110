#include "controlplane/observe/neighbours/kernel.h"

#include <cerrno>

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/cache.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/vlan.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>
#include <sys/socket.h>

#include "lib/host/unique_fd.h"

namespace fairlead {
namespace {

template <typename T, void (*kFree)(T*)>
struct Freer {
  void operator()(T* object) const { kFree(object); }
};
using AddressPtr = std::unique_ptr<nl_addr, Freer<nl_addr, nl_addr_put>>;
using CallbacksPtr = std::unique_ptr<nl_cb, Freer<nl_cb, nl_cb_put>>;
using MessagePtr = std::unique_ptr<nl_msg, Freer<nl_msg, nlmsg_free>>;
using RoutePtr = std::unique_ptr<rtnl_route, Freer<rtnl_route, rtnl_route_put>>;
using ObjectPtr = std::unique_ptr<nl_object, Freer<nl_object, nl_object_put>>;
using CachePtr = std::unique_ptr<nl_cache, Freer<nl_cache, nl_cache_free>>;
using LinkPtr = std::unique_ptr<rtnl_link, Freer<rtnl_link, rtnl_link_put>>;
using NeighbourPtr = std::unique_ptr<rtnl_neigh, Freer<rtnl_neigh, rtnl_neigh_put>>;

constexpr int kUsableStates =
    NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
constexpr int kEventBufferBytes = 4 << 20;
constexpr uint16_t kDiscardPort = 9;
// The default route is found by looking up the routes to these addresses, in this order. Nothing is
// ever sent to them. They are reserved (192.88.99.0/24 and 198.18.0.0/15: RFC 6890; 2000::/16 is
// not allocated), so routing tables contain them only as filters. There are several, because a
// filter makes the addresses that it covers useless. 0.0.0.0 does not work: the kernel treats it as
// its own address.
constexpr const char* kFarAway4[] = {"192.88.99.1", "198.18.0.1", "240.0.0.1"};
constexpr const char* kFarAway6[] = {"2000::1", "100::1", "fc00::1"};

Status NetlinkFailure(const std::string& what, int code) {
  return Unavailable(what + ": " + nl_geterror(code));
}

AddressPtr ToNetlink(const IpAddress& address) {
  return AddressPtr(nl_addr_build(address.is_v4() ? AF_INET : AF_INET6, address.wire().data(),
                                  address.wire().size()));
}

std::optional<IpAddress> FromNetlink(nl_addr* address) {
  if (address == nullptr) return std::nullopt;
  const auto* bytes = static_cast<const uint8_t*>(nl_addr_get_binary_addr(address));
  if (nl_addr_get_family(address) == AF_INET && nl_addr_get_len(address) == 4) {
    return IpAddress::FromV4(std::span<const uint8_t, 4>(bytes, 4));
  }
  if (nl_addr_get_family(address) == AF_INET6 && nl_addr_get_len(address) == 16) {
    return IpAddress::FromV6(std::span<const uint8_t, 16>(bytes, 16));
  }
  return std::nullopt;
}

std::optional<NeighbourEvent> ToEvent(rtnl_neigh* neighbour, bool deleted) {
  const std::optional<IpAddress> address = FromNetlink(rtnl_neigh_get_dst(neighbour));
  if (!address.has_value()) return std::nullopt;
  NeighbourEvent event{rtnl_neigh_get_ifindex(neighbour), *address, std::nullopt};
  const int state = deleted ? 0 : rtnl_neigh_get_state(neighbour);
  event.has_answered = (state & NUD_REACHABLE) != 0;
  event.is_permanent = (state & (NUD_PERMANENT | NUD_NOARP)) != 0;
  nl_addr* lladdr = rtnl_neigh_get_lladdr(neighbour);
  if ((state & kUsableStates) == 0 || lladdr == nullptr || nl_addr_get_len(lladdr) != 6) {
    return event;
  }
  MacAddress mac;
  std::copy_n(static_cast<const uint8_t*>(nl_addr_get_binary_addr(lladdr)), mac.bytes.size(),
              mac.bytes.begin());
  // Loopback and point-to-point links have no stations to address.
  if (!mac.is_zero() && !mac.is_group()) event.mac = mac;
  return event;
}

struct EventSink {
  const KernelNetwork::Callbacks* callbacks;
  bool routes_or_links = false;
  bool addresses = false;
};

void TakeObject(nl_object* object, void* argument) {
  auto* sink = static_cast<EventSink*>(argument);
  const std::string_view type = nl_object_get_type(object);
  if (type == "route/addr") {
    sink->addresses = true;
    return;
  }
  if (type != "route/neigh") {
    sink->routes_or_links = true;
    return;
  }
  const bool deleted = nl_object_get_msgtype(object) == RTM_DELNEIGH;
  if (const auto event = ToEvent(reinterpret_cast<rtnl_neigh*>(object), deleted)) {
    sink->callbacks->on_neighbour(*event);
  }
}

int TakeMessage(nl_msg* message, void* argument) {
  nl_msg_parse(message, TakeObject, argument);
  return NL_OK;
}

// Uses the first of several next hops.
RouteAnswer AnswerOf(rtnl_route* route, const IpAddress& destination) {
  rtnl_nexthop* hop = rtnl_route_nexthop_n(route, 0);
  RouteAnswer answer;
  answer.interface_index = rtnl_route_nh_get_ifindex(hop);
  nl_addr* gateway = rtnl_route_nh_get_gateway(hop);
  if (gateway == nullptr) gateway = rtnl_route_nh_get_via(hop);
  answer.neighbour = FromNetlink(gateway).value_or(destination);
  return answer;
}

int TakeRoute(nl_msg* message, void* argument) {
  auto** route = static_cast<rtnl_route**>(argument);
  if (*route == nullptr) rtnl_route_parse(nlmsg_hdr(message), route);
  return NL_OK;
}

// The entry of the routing table that matches `destination`, with its prefix. rtnl_route_lookup
// does not return the prefix. Null if there is none.
rtnl_route* AskForEntry(nl_sock* socket, nl_addr* destination) {
  const MessagePtr message(nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST));
  const CallbacksPtr own(nl_socket_get_cb(socket));  // one more reference
  const CallbacksPtr callbacks(nl_cb_clone(own.get()));
  if (message == nullptr || callbacks == nullptr) return nullptr;
  rtmsg header{};
  header.rtm_family = static_cast<unsigned char>(nl_addr_get_family(destination));
  header.rtm_dst_len = static_cast<unsigned char>(nl_addr_get_prefixlen(destination));
  header.rtm_flags = RTM_F_FIB_MATCH;
  if (nlmsg_append(message.get(), &header, sizeof(header), NLMSG_ALIGNTO) < 0 ||
      nla_put_addr(message.get(), RTA_DST, destination) < 0) {
    return nullptr;
  }
  rtnl_route* route = nullptr;
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, TakeRoute, &route);
  if (nl_send_auto(socket, message.get()) < 0) return nullptr;
  // The kernel answers with an error alone, or with an entry followed by an acknowledgement.
  if (nl_recvmsgs(socket, callbacks.get()) < 0) return nullptr;
  nl_wait_for_ack(socket);
  return route;
}

// Makes the kernel resolve the neighbour by sending a datagram to the discard port. Used if the
// kernel refuses a netlink request to resolve it.
void SendDiscardDatagram(const IpAddress& address, int interface_index) {
  const UniqueFd socket(
      ::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return;
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (address.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(kDiscardPort);
    std::copy_n(address.bytes().begin(), 4, reinterpret_cast<uint8_t*>(&v4->sin_addr));
    length = sizeof(*v4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(kDiscardPort);
    std::copy_n(address.bytes().begin(), 16, v6->sin6_addr.s6_addr);
    if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) {
      v6->sin6_scope_id = static_cast<uint32_t>(interface_index);
    }
    length = sizeof(*v6);
  }
  (void)::sendto(socket.get(), "", 0, MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&storage),
                 length);
}

}  // namespace

void KernelNetwork::FreeSocket::operator()(nl_sock* socket) const { nl_socket_free(socket); }

KernelNetwork::KernelNetwork() : requests_(nl_socket_alloc()), events_(nl_socket_alloc()) {}
KernelNetwork::~KernelNetwork() = default;

Result<std::unique_ptr<KernelNetwork>> KernelNetwork::Open() {
  std::unique_ptr<KernelNetwork> kernel(new KernelNetwork);
  nl_sock* events = kernel->events_.get();
  if (kernel->requests_ == nullptr || events == nullptr) return Internal("netlink: no memory");
  if (const int code = nl_connect(kernel->requests_.get(), NETLINK_ROUTE); code < 0) {
    return NetlinkFailure("netlink socket", code);
  }
  nl_socket_disable_seq_check(events);
  if (const int code = nl_connect(events, NETLINK_ROUTE); code < 0) {
    return NetlinkFailure("netlink event socket", code);
  }
  (void)nl_socket_set_buffer_size(events, kEventBufferBytes, 0);
  if (const int code = nl_socket_set_nonblocking(events); code < 0) {
    return NetlinkFailure("netlink event socket", code);
  }
  if (const int code = nl_socket_add_memberships(
          events, RTNLGRP_NEIGH, RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
          RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_NONE);
      code < 0) {
    return NetlinkFailure("netlink subscription", code);
  }
  return kernel;
}

int KernelNetwork::event_fd() const { return nl_socket_get_fd(events_.get()); }

Result<RouteAnswer> KernelNetwork::FindRoute(const IpAddress& destination) {
  const AddressPtr address = ToNetlink(destination);
  nl_object* raw = nullptr;
  const int code =
      rtnl_route_lookup(requests_.get(), address.get(), reinterpret_cast<rtnl_route**>(&raw));
  const ObjectPtr object(raw);
  if (code < 0 || raw == nullptr) {
    return NotFound("no route to " + destination.ToString() + ": " + nl_geterror(code));
  }
  auto* route = reinterpret_cast<rtnl_route*>(raw);
  if (rtnl_route_get_type(route) != RTN_UNICAST || rtnl_route_get_nnexthops(route) < 1) {
    return NotFound("no unicast route to " + destination.ToString());
  }
  return AnswerOf(route, destination);
}

WayOut KernelNetwork::FindWayOut(const IpAddress& destination) {
  const AddressPtr address = ToNetlink(destination);
  nl_object* raw = nullptr;
  const int code =
      rtnl_route_lookup(requests_.get(), address.get(), reinterpret_cast<rtnl_route**>(&raw));
  const ObjectPtr object(raw);
  if (code < 0 || raw == nullptr) return {.has_route = false};
  auto* route = reinterpret_cast<rtnl_route*>(raw);
  if (rtnl_route_get_type(route) != RTN_UNICAST || rtnl_route_get_nnexthops(route) < 1) return {};
  rtnl_link* raw_link = nullptr;
  const RouteAnswer answer = AnswerOf(route, destination);
  const int index = answer.interface_index;
  if (rtnl_link_get_kernel(requests_.get(), index, nullptr, &raw_link) < 0) return {};
  const LinkPtr link(raw_link);
  WayOut way{.route = answer, .interface = rtnl_link_get_name(raw_link)};
  way.has_neighbours =
      (rtnl_link_get_flags(raw_link) & (IFF_NOARP | IFF_POINTOPOINT | IFF_LOOPBACK)) == 0;
  if ((rtnl_link_get_flags(raw_link) & IFF_RUNNING) != 0) return way;
  const Result<LinkAnswer> device = FindLink(index);
  way.no_carrier = way.interface;
  way.device = device.ok() ? device->interface : std::string();
  return way;
}

Result<RouteAnswer> KernelNetwork::FindDefaultRoute(Family family) {
  const std::string name = family == Family::kIpv4 ? "IPv4 default route" : "IPv6 default route";
  for (const char* text : family == Family::kIpv4 ? kFarAway4 : kFarAway6) {
    ASSIGN_OR_RETURN(const IpAddress far_away, IpAddress::Parse(text));
    const AddressPtr address = ToNetlink(far_away);
    const RoutePtr route(AskForEntry(requests_.get(), address.get()));
    if (route == nullptr || rtnl_route_get_type(route.get()) != RTN_UNICAST ||
        nl_addr_get_prefixlen(rtnl_route_get_dst(route.get())) != 0 ||
        rtnl_route_get_nnexthops(route.get()) < 1) {
      continue;
    }
    const RouteAnswer answer = AnswerOf(route.get(), far_away);
    if (answer.neighbour == far_away) return NotFound("the " + name + " has no gateway");
    return answer;
  }
  return NotFound("this host has no " + name);
}

Result<LinkAnswer> KernelNetwork::FindLink(int interface_index) {
  LinkAnswer answer;
  // A next hop has at most one VLAN tag.
  for (int depth = 0; depth < 2; ++depth) {
    rtnl_link* raw = nullptr;
    const int code = rtnl_link_get_kernel(requests_.get(), interface_index, nullptr, &raw);
    const LinkPtr link(raw);
    if (code < 0) return NetlinkFailure("link " + std::to_string(interface_index), code);
    answer.interface = rtnl_link_get_name(raw);
    if (!rtnl_link_is_vlan(raw) || answer.vlan != 0) return answer;
    answer.vlan = static_cast<uint16_t>(rtnl_link_vlan_get_id(raw));
    interface_index = rtnl_link_get_link(raw);
  }
  return answer;
}

Status KernelNetwork::ListNeighbours(const std::function<void(const NeighbourEvent&)>& visit) {
  nl_cache* raw = nullptr;
  if (const int code = rtnl_neigh_alloc_cache(requests_.get(), &raw); code < 0) {
    return NetlinkFailure("list of neighbours", code);
  }
  const CachePtr cache(raw);
  for (nl_object* each = nl_cache_get_first(raw); each != nullptr; each = nl_cache_get_next(each)) {
    const auto event = ToEvent(reinterpret_cast<rtnl_neigh*>(each), false);
    if (event.has_value() && event->mac.has_value()) visit(*event);
  }
  return {};
}

Status KernelNetwork::ListAddresses(
    const std::function<void(const IpAddress&, const std::string&)>& visit) {
  nl_cache* raw_links = nullptr;
  if (const int code = rtnl_link_alloc_cache(requests_.get(), AF_UNSPEC, &raw_links); code < 0) {
    return NetlinkFailure("list of links", code);
  }
  const CachePtr links(raw_links);
  nl_cache* raw = nullptr;
  if (const int code = rtnl_addr_alloc_cache(requests_.get(), &raw); code < 0) {
    return NetlinkFailure("list of addresses", code);
  }
  const CachePtr cache(raw);
  for (nl_object* each = nl_cache_get_first(raw); each != nullptr; each = nl_cache_get_next(each)) {
    auto* entry = reinterpret_cast<rtnl_addr*>(each);
    const std::optional<IpAddress> address = FromNetlink(rtnl_addr_get_local(entry));
    const LinkPtr link(rtnl_link_get(raw_links, rtnl_addr_get_ifindex(entry)));
    if (!address.has_value() || link == nullptr) continue;
    if ((rtnl_link_get_flags(link.get()) & IFF_LOOPBACK) != 0) continue;
    visit(*address, rtnl_link_get_name(link.get()));
  }
  return {};
}

void KernelNetwork::TriggerResolution(const RouteAnswer& route) {
  const AddressPtr address = ToNetlink(route.neighbour);
  const NeighbourPtr neighbour(rtnl_neigh_alloc());
  rtnl_neigh_set_ifindex(neighbour.get(), route.interface_index);
  rtnl_neigh_set_dst(neighbour.get(), address.get());
  rtnl_neigh_set_flags(neighbour.get(), NTF_USE);
  rtnl_neigh_set_state(neighbour.get(), NUD_NONE);
  const int code = rtnl_neigh_add(requests_.get(), neighbour.get(), NLM_F_CREATE | NLM_F_REPLACE);
  if (code < 0) SendDiscardDatagram(route.neighbour, route.interface_index);
}

bool KernelNetwork::AskNeighbour(const RouteAnswer& route, const MacAddress& mac) {
  const AddressPtr address = ToNetlink(route.neighbour);
  const AddressPtr link_address(nl_addr_build(AF_LLC, mac.bytes.data(), mac.bytes.size()));
  const NeighbourPtr neighbour(rtnl_neigh_alloc());
  rtnl_neigh_set_ifindex(neighbour.get(), route.interface_index);
  rtnl_neigh_set_dst(neighbour.get(), address.get());
  rtnl_neigh_set_lladdr(neighbour.get(), link_address.get());
  rtnl_neigh_set_state(neighbour.get(), NUD_PROBE);
  return rtnl_neigh_add(requests_.get(), neighbour.get(), NLM_F_REPLACE) >= 0;
}

Status KernelNetwork::ReadEvents(const Callbacks& callbacks) {
  EventSink sink{&callbacks};
  nl_socket_modify_cb(events_.get(), NL_CB_VALID, NL_CB_CUSTOM, TakeMessage, &sink);
  int code = 0;
  do {
    code = nl_recvmsgs_default(events_.get());
  } while (code >= 0);
  if (sink.addresses) callbacks.on_addresses();
  if (sink.routes_or_links) callbacks.on_routes_or_links();
  if (code == -NLE_AGAIN) return {};
  return DataLoss(std::string("netlink events: ") + nl_geterror(code));
}

}  // namespace fairlead
