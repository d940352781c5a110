#include "dataplane/port/port_links.h"

#include <rte_ethdev.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <net/if.h>
#include <spdlog/spdlog.h>

namespace fairlead {
namespace {

constexpr uint64_t kLinkPeriodUs = 250'000;

uint64_t SteadyUs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

// 0: no interface has the name.
uint32_t PresentIndex(const Port& port) { return if_nametoindex(port.device_interface.c_str()); }

// Asks the kernel if the device is one of its interfaces, else the driver.
LinkStats ReadLink(const Port& port) {
  rte_eth_link link = {};
  const bool known = rte_eth_link_get_nowait(port.id, &link) == 0;
  LinkStats stats;
  stats.is_up = known && link.link_status == RTE_ETH_LINK_UP;
  if (!port.device_interface.empty()) stats.is_up = ReadInterfaceRunning(port.device_interface);
  if (port.interface_index != 0 && PresentIndex(port) != port.interface_index) stats.is_up = false;
  if (stats.is_up && known && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN) {
    stats.speed_mbps = link.link_speed;
  }
  return stats;
}

std::string SpeedText(uint32_t speed_mbps) {
  return speed_mbps == 0 ? "" : ", " + std::to_string(speed_mbps) + " Mbit/s";
}

// `down_us`: how long it was down before; unset at the start. A link that is up again is a warning
// too: without --verbose, nothing below is logged.
void LogChange(const Port& port, const LinkStats& link, std::optional<uint64_t> down_us) {
  if (!link.is_up) {
    spdlog::warn("port {} ({}): the link is down", port.name, port.device);
  } else if (!down_us.has_value()) {
    spdlog::info("port {} ({}): the link is up{}", port.name, port.device,
                 SpeedText(link.speed_mbps));
  } else {
    spdlog::warn("port {} ({}): the link is up again after {:.1f} s{}", port.name, port.device,
                 static_cast<double>(*down_us) / 1e6, SpeedText(link.speed_mbps));
  }
}

// Empty if the port has the interfaces that it was opened on, or none.
std::string ReasonToEnd(const Port& port) {
  if (port.tap && port.tap->IsDeleted()) {
    return "port " + port.name + ": kernel: interface " + port.interface +
           " was deleted; the next start makes it again";
  }
  if (port.interface_index == 0) return "";
  const uint32_t present = PresentIndex(port);
  if (present == 0 || present == port.interface_index) return "";
  return "port " + port.name + ": interface " + port.device_interface +
         " was deleted and made again; the next start opens it";
}

// Logs it when the port's interface goes. `is_gone`: what it was at the last call.
void NoteIfGone(const Port& port, bool* is_gone) {
  const bool was_gone = *is_gone;
  *is_gone = port.interface_index != 0 && PresentIndex(port) == 0;
  if (!*is_gone || was_gone) return;
  spdlog::warn(
      "port {} ({}): interface {} is gone; when another one has its name, this process ends, so "
      "that the next start opens that one",
      port.name, port.device, port.device_interface);
}

void RestoreMac(Port* port) {
  if (!port->tap) return;
  if (const std::optional<MacAddress> other = port->tap->RestoreMac(); other.has_value()) {
    spdlog::warn(
        "port {}: another program gave {} the MAC {}, for which the port receives no frames; "
        "it has the port's MAC again",
        port->name, port->interface, other->ToString());
  }
}

}  // namespace

PortLinks::PortLinks(std::span<Port> ports, std::function<void(uint16_t)> came_up,
                     Removals* removals)
    : ports_(ports), came_up_(std::move(came_up)), removals_(removals), states_(ports.size()) {
  for (size_t index = 0; index < ports_.size(); ++index) Read(index, /*is_first=*/true);
  next_us_ = SteadyUs() + kLinkPeriodUs;
}

int PortLinks::Step() {
  const uint64_t now_us = SteadyUs();
  if (now_us >= next_us_) {
    next_us_ = now_us + kLinkPeriodUs;
    for (size_t index = 0; index < ports_.size(); ++index) {
      Read(index, /*is_first=*/false);
      NoteIfGone(ports_[index], &states_[index].is_gone);
      RestoreMac(&ports_[index]);
      const std::string why = ReasonToEnd(ports_[index]);
      if (!why.empty() && removals_->End(why)) spdlog::error("{}; ending", why);
    }
  }
  return static_cast<int>((next_us_ - now_us + 999) / 1000);
}

void PortLinks::Read(size_t index, bool is_first) {
  Port& port = ports_[index];
  if (!port.has_network) return;
  LinkStats link = ReadLink(port);
  State& state = states_[index];
  const uint64_t now_us = SteadyUs();
  const bool changed = is_first || link.is_up != state.link.is_up;
  std::optional<uint64_t> lasted_us;  // the state before
  if (changed && !is_first) lasted_us = now_us - state.since_us;
  {
    const std::lock_guard lock(mutex_);
    link.changes = state.link.changes + (lasted_us.has_value() ? 1 : 0);
    state.link = link;
    if (changed) state.since_us = now_us;
  }
  if (!changed) return;
  LogChange(port, link, lasted_us);
  if (port.tap) port.tap->SetCarrier(link.is_up);
  if (link.is_up && !is_first) came_up_(static_cast<uint16_t>(index));
}

std::optional<LinkStats> PortLinks::Link(uint16_t port_index) const {
  if (!ports_[port_index].has_network) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const State& state = states_[port_index];
  LinkStats link = state.link;
  link.for_ms = (SteadyUs() - state.since_us) / 1000;
  return link;
}

std::optional<rte_eth_stats> ReadDeviceStats(const Port& port) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  rte_eth_stats stats = {};
  if (rte_eth_stats_get(port.id, &stats) != 0) return std::nullopt;
  return stats;
}

std::optional<NicStats> ReadNicStats(const Port& port) {
  const std::optional<rte_eth_stats> stats = ReadDeviceStats(port);
  if (!stats.has_value()) return std::nullopt;
  return NicStats{stats->imissed, stats->ierrors, stats->rx_nombuf, stats->oerrors};
}

}  // namespace fairlead
