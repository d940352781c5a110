#include "controlplane/observe/neighbours/next_hops.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controlplane/common/log.h"
#include "controlplane/common/time.h"

namespace fairlead {
namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// Route changes come in groups (a BGP session that starts). They are handled together after this
// delay.
constexpr milliseconds kRouteDebounce{50};
// How often an unresolved neighbour is asked for again, and how often a known one is confirmed. The
// confirmation finds a backend that moved to another MAC without announcing it.
constexpr milliseconds kRetryUnresolved{500};
constexpr milliseconds kConfirm{15'000};

}  // namespace

IpAddress UnspecifiedAddress(Family family) {
  return family == Family::kIpv4 ? IpAddress::FromV4(std::array<uint8_t, 4>{})
                                 : IpAddress::FromV6(std::array<uint8_t, 16>{});
}

NextHops::NextHops(asio::any_io_executor executor, std::function<void()> on_change)
    : executor_(executor), on_change_(std::move(on_change)), wake_(executor) {}

NextHops::~NextHops() { Stop(); }

Status NextHops::Start() {
  ASSIGN_OR_RETURN(kernel_, KernelNetwork::Open());
  ReloadNeighbours();
  ReloadHostAddresses();
  // libnl owns the file descriptor: Stop() releases it here before libnl closes it.
  events_ = std::make_unique<asio::posix::stream_descriptor>(executor_, kernel_->event_fd());
  SpawnLoop(executor_, "netlink", [this] { return ReadLoop(); });
  SpawnLoop(executor_, "next_hops", [this] { return RefreshLoop(); });
  return {};
}

void NextHops::Stop() {
  stopped_ = true;
  wake_.Notify();
  if (events_ != nullptr && events_->is_open()) events_->release();
}

void NextHops::Follow(const IpAddress& address) {
  if (kernel_ == nullptr) return;
  const auto [entry, added] = entries_.try_emplace(address);
  if (!added) return;
  Changed(address);
  Route(address, &entry->second);
  if (entry->second.next_hop.has_value() || !entry->second.route.has_value()) return;
  kernel_->TriggerResolution(*entry->second.route);
  wake_.Notify();
}

void NextHops::Forget(const IpAddress& address) {
  entries_.erase(address);
  changed_.erase(address);
}

void NextHops::SetFrontends(std::set<IpAddress> frontends) {
  if (frontends == frontends_) return;
  frontends_ = std::move(frontends);
  if (kernel_ == nullptr) return;
  bool unresolved = false;
  for (auto& [address, entry] : entries_) {
    if (!DiffersWith(frontends_, entry)) continue;
    if (Route(address, &entry)) Changed(address);
    unresolved |= !entry.next_hop.has_value();
  }
  if (unresolved) wake_.Notify();
}

std::optional<SnapshotNextHop> NextHops::Find(const IpAddress& address) const {
  const auto entry = entries_.find(address);
  return entry == entries_.end() ? std::nullopt : entry->second.next_hop;
}

bool NextHops::IsBehindGateway(const ModeDescriptor& mode, const IpAddress& address) const {
  const auto entry = entries_.find(address);
  return mode.needs_on_link && entry != entries_.end() && entry->second.route.has_value() &&
         entry->second.route->neighbour != address;
}

std::optional<SnapshotNextHop> NextHops::FindFor(const ModeDescriptor& mode,
                                                 const IpAddress& address) const {
  return IsBehindGateway(mode, address) ? std::nullopt : Find(address);
}

std::string NextHops::MissingReasonFor(const ModeDescriptor& mode, const IpAddress& address) const {
  if (!IsBehindGateway(mode, address)) return MissingReason(address);
  const RouteAnswer& route = *entries_.at(address).route;
  const Result<LinkAnswer> link = kernel_->FindLink(route.interface_index);
  return address.ToString() + " is reached through gateway " + route.neighbour.ToString() +
         (link.ok() ? " on " + link->interface : "") + ", but mode " + std::string(mode.name) +
         " needs a backend on the same link; give this host an interface or a route that reaches "
         "it directly, set the backend's mac, or use " +
         RoutedModeNames();
}

std::string NextHops::MissingReason(const IpAddress& address) const {
  const auto entry = entries_.find(address);
  if (entry == entries_.end()) {
    return "fairleadd does not follow neighbours on this host; give the backend a mac";
  }
  return entry->second.missing;
}

bool NextHops::Waiting(const IpAddress& address) const {
  const auto entry = entries_.find(address);
  return entry != entries_.end() && entry->second.route && !entry->second.next_hop;
}

bool NextHops::DiffersWith(const std::set<IpAddress>& frontends, const Entry& entry) const {
  if (entry.leads_back_to.has_value()) return !frontends.contains(*entry.leads_back_to);
  return entry.route.has_value() && frontends.contains(entry.route->neighbour);
}

bool NextHops::Route(const IpAddress& address, Entry* entry) {
  const bool is_default = address == UnspecifiedAddress(address.family());
  Result<RouteAnswer> route =
      is_default ? kernel_->FindDefaultRoute(address.family()) : kernel_->FindRoute(address);
  if (!route.ok()) {
    const bool changed = entry->route.has_value();
    *entry = {std::nullopt, std::nullopt, route.status().message()};
    return changed;
  }
  if (frontends_.contains(route->neighbour)) {
    const bool changed = entry->route.has_value();
    *entry = {std::nullopt, std::nullopt,
              "its route leads to " + route->neighbour.ToString() +
                  ", a frontend: packets would come back in a loop",
              route->neighbour};
    return changed;
  }
  entry->leads_back_to.reset();
  const bool moved = entry->route != *route;
  entry->route = *route;
  // The route changed: the kernel no longer uses the old next hop, so packets must not either.
  if (moved) entry->next_hop.reset();
  return Resolve(address, entry) || moved;
}

bool NextHops::Resolve(const IpAddress& address, Entry* entry) {
  const auto neighbour = neighbours_.find({entry->route->interface_index, entry->route->neighbour});
  Result<LinkAnswer> link = kernel_->FindLink(entry->route->interface_index);
  if (neighbour == neighbours_.end() || !link.ok()) {
    if (!entry->next_hop.has_value()) {
      entry->missing = link.ok() ? "waiting for the MAC of " + entry->route->neighbour.ToString() +
                                       " on " + link->interface
                                 : link.status().message();
    }
    return false;
  }
  const SnapshotNextHop next_hop{neighbour->second, link->vlan, link->interface};
  entry->missing.clear();
  if (entry->next_hop == next_hop) return false;
  entry->next_hop = next_hop;
  Log(LogLevel::kInfo, "next_hop",
      {{"address", address.ToString()},
       {"mac", next_hop.mac.ToString()},
       {"interface", next_hop.interface}});
  return true;
}

void NextHops::SetPermanent(const NeighbourKey& key, bool is_permanent) {
  if (is_permanent) {
    permanent_.insert(key);
  } else {
    permanent_.erase(key);
  }
}

bool NextHops::Ask(const RouteAnswer& neighbour) {
  const NeighbourKey key{neighbour.interface_index, neighbour.neighbour};
  if (kernel_ == nullptr || permanent_.contains(key)) return false;
  answered_at_[key] = SteadyTime{};
  const auto known = neighbours_.find(key);
  if (known != neighbours_.end()) return kernel_->AskNeighbour(neighbour, known->second);
  kernel_->TriggerResolution(neighbour);
  return true;
}

std::optional<SteadyTime> NextHops::AnsweredAt(const RouteAnswer& neighbour) const {
  const auto asked = answered_at_.find({neighbour.interface_index, neighbour.neighbour});
  if (asked == answered_at_.end() || asked->second == SteadyTime{}) return std::nullopt;
  return asked->second;
}

std::set<IpAddress> NextHops::OnLinkWitnesses(int interface_index, size_t most) const {
  std::set<IpAddress> all;
  for (const auto& [address, entry] : entries_) {
    if (entry.route.has_value() && entry.route->interface_index == interface_index) {
      all.insert(entry.route->neighbour);
    }
  }
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (kernel_ == nullptr) break;
    const Result<RouteAnswer> route = kernel_->FindDefaultRoute(family);
    if (route.ok() && route->interface_index == interface_index) all.insert(route->neighbour);
  }
  const size_t stride = (all.size() + most - 1) / most;
  std::set<IpAddress> chosen;
  size_t i = 0;
  for (const IpAddress& address : all) {
    if (i++ % stride == 0) chosen.insert(chosen.end(), address);
  }
  return chosen;
}

void NextHops::OnNeighbour(const NeighbourEvent& event) {
  const NeighbourKey key{event.interface_index, event.address};
  SetPermanent(key, event.is_permanent);
  const auto asked = answered_at_.find(key);
  if (event.has_answered && asked != answered_at_.end()) asked->second = SteadyNow();
  if (!event.mac.has_value()) {
    neighbours_.erase(key);
    return;
  }
  neighbours_[key] = *event.mac;
  bool changed = false;
  for (auto& [address, entry] : entries_) {
    if (!entry.route.has_value() || entry.route->neighbour != event.address ||
        entry.route->interface_index != event.interface_index) {
      continue;
    }
    if (!Resolve(address, &entry)) continue;
    Changed(address);
    changed = true;
  }
  if (changed) on_change_();
}

void NextHops::ReloadNeighbours() {
  neighbours_.clear();
  permanent_.clear();
  const Status status = kernel_->ListNeighbours([this](const NeighbourEvent& event) {
    const NeighbourKey key{event.interface_index, event.address};
    neighbours_[key] = *event.mac;
    SetPermanent(key, event.is_permanent);
  });
  if (!status.ok()) Log(LogLevel::kError, "netlink_failed", {{"reason", status.message()}});
}

bool NextHops::ReloadHostAddresses() {
  std::map<IpAddress, std::string> addresses;
  const Status status =
      kernel_->ListAddresses([&](const IpAddress& address, const std::string& interface) {
        addresses.emplace(address, interface);
      });
  if (!status.ok()) {
    Log(LogLevel::kError, "netlink_failed", {{"reason", status.message()}});
    return false;
  }
  return std::exchange(host_addresses_, addresses) != addresses;
}

void NextHops::RouteAll(bool only_missing) {
  bool changed = false;
  for (auto& [address, entry] : entries_) {
    if (only_missing && entry.next_hop.has_value()) continue;
    if (Route(address, &entry)) {
      Changed(address);
      changed = true;
    }
    if (entry.route.has_value() && !entry.next_hop.has_value()) {
      kernel_->TriggerResolution(*entry.route);
    }
  }
  if (changed) on_change_();
}

asio::awaitable<void> NextHops::ReadLoop() {
  const KernelNetwork::Callbacks callbacks{
      [this](const NeighbourEvent& event) { OnNeighbour(event); },
      [this] {
        routes_changed_ = true;
        wake_.Notify();
      },
      [this] {
        if (ReloadHostAddresses()) on_change_();
      }};
  while (!stopped_) {
    boost::system::error_code error;
    co_await events_->async_wait(asio::posix::stream_descriptor::wait_read,
                                 asio::redirect_error(asio::use_awaitable, error));
    if (error || stopped_) co_return;
    if (Status status = kernel_->ReadEvents(callbacks); !status.ok()) {
      Log(LogLevel::kWarning, "netlink_resync", {{"reason", status.message()}});
      ReloadNeighbours();
      if (ReloadHostAddresses()) on_change_();
      routes_changed_ = true;
      wake_.Notify();
    }
  }
}

asio::awaitable<void> NextHops::RefreshLoop() {
  asio::steady_timer delay(executor_);
  SteadyTime next_confirm = SteadyNow() + kConfirm;
  SteadyTime next_retry = SteadyNow() + kRetryUnresolved;
  while (!stopped_) {
    const bool unresolved = std::ranges::any_of(
        entries_, [](const auto& entry) { return !entry.second.next_hop.has_value(); });
    if (!routes_changed_) {
      co_await wake_.Wait(unresolved ? std::min(next_retry, next_confirm) : next_confirm);
    }
    if (stopped_) co_return;
    if (routes_changed_) {
      co_await SleepUntil(&delay, SteadyNow() + kRouteDebounce);
      if (stopped_) co_return;
      routes_changed_ = false;
      RouteAll(false);
    } else if (unresolved && SteadyNow() >= next_retry) {
      next_retry = SteadyNow() + kRetryUnresolved;
      RouteAll(true);
    }
    if (SteadyNow() < next_confirm) continue;
    next_confirm = SteadyNow() + kConfirm;
    for (const auto& [address, entry] : entries_) {
      if (entry.route.has_value()) kernel_->TriggerResolution(*entry.route);
    }
  }
}

}  // namespace fairlead
