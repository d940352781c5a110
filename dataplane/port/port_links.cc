#include "dataplane/port/port_links.h"

#include <rte_ethdev.h>

#include <algorithm>
#include <chrono>

#include <spdlog/spdlog.h>

namespace fairlead {
namespace {

constexpr uint64_t kPeriodUs = 250'000;

uint64_t NowUs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

// Asks the kernel if the device is one of its interfaces, else the driver.
LinkStats ReadLink(const Port& port) {
  rte_eth_link link = {};
  const bool known = rte_eth_link_get_nowait(port.id, &link) == 0;
  LinkStats stats;
  stats.is_up = known && link.link_status == RTE_ETH_LINK_UP;
  if (!port.device_interface.empty()) stats.is_up = ReadInterfaceRunning(port.device_interface);
  if (known && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN) stats.speed_mbps = link.link_speed;
  return stats;
}

void LogChange(const Port& port, const LinkStats& link) {
  if (!link.is_up) {
    spdlog::warn("port {} ({}): the link is down", port.name, port.device);
  } else {
    spdlog::info("port {} ({}): the link is up, {} Mbit/s", port.name, port.device,
                 link.speed_mbps);
  }
}

}  // namespace

PortLinks::PortLinks(std::span<Port> ports, std::function<void(uint16_t)> came_up)
    : ports_(ports), came_up_(std::move(came_up)), links_(ports.size()) {
  for (size_t index = 0; index < ports_.size(); ++index) Read(index, /*is_first=*/true);
  next_us_ = NowUs() + kPeriodUs;
}

int PortLinks::Step() {
  const uint64_t now_us = NowUs();
  if (now_us >= next_us_) {
    next_us_ = now_us + kPeriodUs;
    for (size_t index = 0; index < ports_.size(); ++index) Read(index, /*is_first=*/false);
  }
  return static_cast<int>((next_us_ - now_us + 999) / 1000);
}

void PortLinks::Read(size_t index, bool is_first) {
  Port& port = ports_[index];
  if (!port.has_network) return;
  LinkStats link = ReadLink(port);
  const LinkStats before = links_[index];
  const bool changed = is_first || link.is_up != before.is_up;
  link.changes = before.changes + (changed && !is_first ? 1 : 0);
  links_[index] = link;
  if (!changed) return;
  LogChange(port, link);
  if (port.tap) port.tap->SetCarrier(link.is_up);
  if (link.is_up && !is_first) came_up_(static_cast<uint16_t>(index));
}

std::optional<LinkStats> PortLinks::Link(uint16_t port_index) const {
  if (!ports_[port_index].has_network) return std::nullopt;
  return links_[port_index];
}

NicStats ReadNicStats(const Port& port) {
  rte_eth_stats stats = {};
  if (rte_eth_stats_get(port.id, &stats) != 0) return {};
  return {stats.imissed, stats.ierrors, stats.rx_nombuf, stats.oerrors};
}

}  // namespace fairlead
