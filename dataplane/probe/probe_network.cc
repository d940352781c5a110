#include "dataplane/probe/probe_network.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <string>
#include <utility>

#include <linux/fib_rules.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/route/rule.h>
#include <sys/ioctl.h>

#include "lib/base/error_text.h"
#include "lib/link/probe_ports.h"

namespace fairlead {
namespace {

template <typename T, void (*kFree)(T*)>
struct ReleasedBy {
  void operator()(T* object) const { kFree(object); }
};
using AddressPtr = std::unique_ptr<nl_addr, ReleasedBy<nl_addr, nl_addr_put>>;
using LinkPtr = std::unique_ptr<rtnl_link, ReleasedBy<rtnl_link, rtnl_link_put>>;
using RoutePtr = std::unique_ptr<rtnl_route, ReleasedBy<rtnl_route, rtnl_route_put>>;
using RulePtr = std::unique_ptr<rtnl_rule, ReleasedBy<rtnl_rule, rtnl_rule_put>>;

constexpr uint32_t kProbeTable = 61000;
constexpr uint32_t kAnswerTable = 61001;
constexpr uint32_t kProbePriority = 100;
constexpr uint32_t kAnswerPriority = 101;
// Less than any path needs, so that probes fit into tunnels. The smallest that IPv6 allows.
constexpr unsigned kMtu = 1280;
constexpr unsigned kQueuedPackets = 4096;
constexpr size_t kRoutesPerStep = 128;
constexpr int kFamilies[] = {AF_INET, AF_INET6};

int FamilyOf(const IpAddress& address) { return address.is_v4() ? AF_INET : AF_INET6; }

AddressPtr ToNetlink(const IpAddress& address) {
  return AddressPtr(nl_addr_build(FamilyOf(address), address.wire().data(), address.wire().size()));
}

AddressPtr DefaultDestination(int family) {
  AddressPtr address(nl_addr_alloc(family == AF_INET ? 4 : 16));
  nl_addr_set_family(address.get(), family);
  nl_addr_set_prefixlen(address.get(), 0);
  return address;
}

RoutePtr RouteTo(const AddressPtr& destination, uint32_t table, std::span<const int> interfaces) {
  RoutePtr route(rtnl_route_alloc());
  rtnl_route_set_table(route.get(), table);
  rtnl_route_set_protocol(route.get(), RTPROT_STATIC);
  rtnl_route_set_scope(route.get(), RT_SCOPE_LINK);
  rtnl_route_set_dst(route.get(), destination.get());
  for (const int interface : interfaces) {
    rtnl_nexthop* const hop = rtnl_route_nh_alloc();
    rtnl_route_nh_set_ifindex(hop, interface);
    rtnl_route_add_nexthop(route.get(), hop);  // takes ownership
  }
  return route;
}

RoutePtr ProhibitAll(int family) {
  RoutePtr route = RouteTo(DefaultDestination(family), kProbeTable, {});
  rtnl_route_set_scope(route.get(), RT_SCOPE_UNIVERSE);
  rtnl_route_set_type(route.get(), RTN_PROHIBIT);
  return route;
}

RulePtr RuleFor(int family, uint32_t priority, uint32_t table) {
  RulePtr rule(rtnl_rule_alloc());
  rtnl_rule_set_family(rule.get(), family);
  rtnl_rule_set_prio(rule.get(), priority);
  rtnl_rule_set_table(rule.get(), table);
  rtnl_rule_set_action(rule.get(), FR_ACT_TO_TBL);
  return rule;
}

RulePtr ProbeRule(int family) {
  RulePtr rule = RuleFor(family, kProbePriority, kProbeTable);
  rtnl_rule_set_mark(rule.get(), kProbeMark);
  rtnl_rule_set_mask(rule.get(), UINT32_MAX);
  return rule;
}

RulePtr AnswerRule(int family) {
  RulePtr rule = RuleFor(family, kAnswerPriority, kAnswerTable);
  rtnl_rule_set_sport_range(rule.get(), kFirstProbePort, kLastProbePort);
  return rule;
}

// Rules and routes may be left from a process that was killed.
bool IsPresent(int code) { return code == 0 || code == -NLE_EXIST; }

int TakeRoute(nl_msg* message, void* argument) {
  rtnl_route* route = nullptr;
  if (rtnl_route_parse(nlmsg_hdr(message), &route) == 0) {
    static_cast<std::vector<RoutePtr>*>(argument)->emplace_back(route);
  }
  return NL_OK;
}

// The table's routes. Without strict checking the kernel would send those of all tables.
std::vector<RoutePtr> RoutesIn(nl_sock* socket, int family, uint32_t table) {
  std::vector<RoutePtr> routes;
  const int strict = 1;
  ::setsockopt(nl_socket_get_fd(socket), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict,
               sizeof(strict));
  const std::unique_ptr<nl_msg, ReleasedBy<nl_msg, nlmsg_free>> message(
      nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_DUMP));
  const std::unique_ptr<nl_cb, ReleasedBy<nl_cb, nl_cb_put>> callbacks(nl_cb_alloc(NL_CB_DEFAULT));
  if (message == nullptr || callbacks == nullptr) return routes;
  rtmsg header = {};
  header.rtm_family = static_cast<unsigned char>(family);
  if (nlmsg_append(message.get(), &header, sizeof(header), NLMSG_ALIGNTO) < 0 ||
      nla_put_u32(message.get(), RTA_TABLE, table) < 0 || nl_send_auto(socket, message.get()) < 0) {
    return routes;
  }
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, TakeRoute, &routes);
  (void)nl_recvmsgs(socket, callbacks.get());
  std::erase_if(routes,
                [&](const RoutePtr& route) { return rtnl_route_get_table(route.get()) != table; });
  return routes;
}

void FlushTables(nl_sock* socket) {
  for (const int family : kFamilies) {
    for (const uint32_t table : {kProbeTable, kAnswerTable}) {
      for (const RoutePtr& route : RoutesIn(socket, family, table)) {
        rtnl_route_delete(socket, route.get(), 0);
      }
    }
  }
}

Result<UniqueFd> OpenTun() {
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) {
    return Unavailable("cannot open /dev/net/tun: " + ErrorText() +
                       "; is the kernel module loaded (modprobe tun)?");
  }
  ifreq request = {};
  std::string(ProbeNetwork::kInterface).copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
    return Unavailable(std::string("cannot create interface ") + ProbeNetwork::kInterface + ": " +
                       (errno == EBUSY ? "another process has it" : ErrorText()));
  }
  return fd;
}

}  // namespace

void ProbeNetwork::FreeSocket::operator()(nl_sock* socket) const { nl_socket_free(socket); }

ProbeNetwork::ProbeNetwork(UniqueFd tun, nl_sock* socket) : tun_(std::move(tun)), socket_(socket) {}

Result<std::unique_ptr<ProbeNetwork>> ProbeNetwork::Open() {
  ASSIGN_OR_RETURN(UniqueFd tun, OpenTun());
  std::unique_ptr<nl_sock, FreeSocket> socket(nl_socket_alloc());
  if (socket == nullptr || nl_connect(socket.get(), NETLINK_ROUTE) < 0) {
    return Unavailable("cannot open a netlink socket: " + ErrorText());
  }
  std::unique_ptr<ProbeNetwork> network(new ProbeNetwork(std::move(tun), socket.release()));
  RETURN_IF_ERROR(network->SetUpInterface());
  FlushTables(network->socket_.get());
  bool added = false;
  RETURN_IF_ERROR(network->AddRules(&added));
  return network;
}

Status ProbeNetwork::SetUpInterface() {
  interface_index_ = static_cast<int>(if_nametoindex(kInterface));
  const LinkPtr link(rtnl_link_alloc());
  rtnl_link_set_ifindex(link.get(), interface_index_);
  rtnl_link_set_mtu(link.get(), kMtu);
  rtnl_link_set_txqlen(link.get(), kQueuedPackets);
  rtnl_link_set_flags(link.get(), IFF_UP);
  const LinkPtr of_interface(rtnl_link_alloc());
  rtnl_link_set_ifindex(of_interface.get(), interface_index_);
  // Without a link-local address the kernel sends nothing of its own there.
  const LinkPtr no_address(rtnl_link_alloc());
  rtnl_link_inet6_set_addr_gen_mode(no_address.get(), rtnl_link_inet6_str2addrgenmode("none"));
  (void)rtnl_link_change(socket_.get(), of_interface.get(), no_address.get(), 0);
  if (const int code = rtnl_link_change(socket_.get(), of_interface.get(), link.get(), 0);
      code < 0) {
    return Unavailable(std::string("cannot set up interface ") + kInterface + ": " +
                       nl_geterror(code));
  }
  return {};
}

Status ProbeNetwork::AddRules(bool* added) {
  for (const int family : kFamilies) {
    std::vector<int> codes = {rtnl_route_add(socket_.get(), ProhibitAll(family).get(), NLM_F_EXCL),
                              rtnl_rule_add(socket_.get(), ProbeRule(family).get(), NLM_F_EXCL),
                              rtnl_rule_add(socket_.get(), AnswerRule(family).get(), NLM_F_EXCL)};
    *added |= std::ranges::count(codes, 0) != 0;
    std::erase_if(codes, IsPresent);
    if (codes.empty() || family == AF_INET6) continue;  // IPv6 may be disabled
    return Unavailable(std::string("cannot add a policy routing rule: ") +
                       nl_geterror(codes.front()));
  }
  return {};
}

bool ProbeNetwork::Restore() {
  bool added = false;
  const Status status = AddRules(&added);
  if (!status.ok()) error_ = status.message();
  if (added) to_change_.insert(wanted_.begin(), wanted_.end());
  return added;
}

ProbeNetwork::~ProbeNetwork() {
  for (const int family : kFamilies) {
    rtnl_rule_delete(socket_.get(), ProbeRule(family).get(), 0);
    rtnl_rule_delete(socket_.get(), AnswerRule(family).get(), 0);
  }
  FlushTables(socket_.get());
}

size_t ProbeNetwork::Read(std::span<uint8_t> room) const {
  const ssize_t count = ::read(tun_.get(), room.data(), room.size());
  return count < 0 ? 0 : static_cast<size_t>(count);
}

void ProbeNetwork::Follow(std::set<IpAddress> frontends) {
  std::set_symmetric_difference(wanted_.begin(), wanted_.end(), frontends.begin(), frontends.end(),
                                std::inserter(to_change_, to_change_.end()));
  wanted_ = std::move(frontends);
}

void ProbeNetwork::FollowInterfaces(std::vector<int> interfaces) {
  if (interfaces == interfaces_) return;
  interfaces_ = std::move(interfaces);
  to_change_.insert(wanted_.begin(), wanted_.end());
}

bool ProbeNetwork::Step() {
  for (size_t n = 0; n < kRoutesPerStep && !to_change_.empty(); ++n) {
    const IpAddress address = to_change_.extract(to_change_.begin()).value();
    SetRoutes(address, wanted_.contains(address));
  }
  return to_change_.empty();
}

void ProbeNetwork::SetRoutes(const IpAddress& address, bool present) {
  const AddressPtr destination = ToNetlink(address);
  const auto set = [&](uint32_t table, std::span<const int> interfaces) {
    if (!present || interfaces.empty()) {
      rtnl_route_delete(socket_.get(), RouteTo(destination, table, {}).get(), 0);
      return;
    }
    const RoutePtr route = RouteTo(destination, table, interfaces);
    const int code = rtnl_route_add(socket_.get(), route.get(), NLM_F_REPLACE);
    if (code < 0) {
      error_ = "cannot add the route of probes to " + address.ToString() + ": " + nl_geterror(code);
    }
  };
  set(kProbeTable, std::span(&interface_index_, 1));
  set(kAnswerTable, interfaces_);
}

std::vector<int> InterfacesWith(std::span<const IpAddress> addresses) {
  std::set<int> found;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return {};
  for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || (each->ifa_flags & IFF_UP) == 0) continue;
    IpAddress address;
    if (each->ifa_addr->sa_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(each->ifa_addr);
      std::array<uint8_t, 4> bytes;
      std::memcpy(bytes.data(), &v4->sin_addr, bytes.size());
      address = IpAddress::FromV4(bytes);
    } else if (each->ifa_addr->sa_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(each->ifa_addr);
      std::array<uint8_t, 16> bytes;
      std::memcpy(bytes.data(), &v6->sin6_addr, bytes.size());
      address = IpAddress::FromV6(bytes);
    } else {
      continue;
    }
    if (std::ranges::find(addresses, address) == addresses.end()) continue;
    found.insert(static_cast<int>(if_nametoindex(each->ifa_name)));
  }
  ::freeifaddrs(all);
  return {found.begin(), found.end()};
}

}  // namespace fairlead
