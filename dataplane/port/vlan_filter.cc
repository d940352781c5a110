#include "dataplane/port/vlan_filter.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <string_view>

#include <spdlog/spdlog.h>

#include "dataplane/eal/start_watch.h"

namespace fairlead {
namespace {

// VLAN 0 marks frames that have a priority only.
constexpr uint16_t kLastVlan = 4094;

// Drivers whose device filters whether or not the offload is requested. DPDK's virtio driver accepts
// VIRTIO_NET_F_CTRL_VLAN whenever it is offered, and the device then starts with an empty table
// (virtio 1.2, 5.1.6.5.3).
constexpr std::array<std::string_view, 2> kFilterStaysOn = {"net_virtio", "net_virtio_user"};

bool HasFilter(const rte_eth_dev_info& info) {
  return (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_FILTER) != 0;
}

// Drivers return negative errno values. virtio also returns the device's status, which is positive.
std::string ReasonOf(int error) {
  return error < 0 ? std::strerror(-error) : "the device refuses the command";
}

void RegisterAll(uint16_t port_id, const std::string& port, std::string_view driver) {
  BeginStartStep("port " + port + ": adding all VLANs to the filter of " + std::string(driver));
  const auto start = std::chrono::steady_clock::now();
  for (uint16_t vlan = 0; vlan <= kLastVlan; ++vlan) {
    const int error = rte_eth_dev_vlan_filter(port_id, vlan, 1);
    if (error == 0) continue;
    spdlog::warn(
        "port {}: {} does not add VLAN {} to its filter ({}); the device drops the frames of VLANs "
        "{} to {}; switch its filter off (QEMU: -device virtio-net-pci,ctrl_vlan=off)",
        port, driver, vlan, ReasonOf(error), vlan, kLastVlan);
    return;
  }
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - start);
  spdlog::info("port {}: all VLANs are in the filter of {}, after {} ms", port, driver,
               passed.count());
}

void SwitchOff(uint16_t port_id, const std::string& port, std::string_view driver) {
  const int offloads = rte_eth_dev_get_vlan_offload(port_id);
  const bool is_on = offloads >= 0 && (offloads & RTE_ETH_VLAN_FILTER_OFFLOAD) != 0;
  const int error =
      is_on ? rte_eth_dev_set_vlan_offload(port_id, offloads & ~RTE_ETH_VLAN_FILTER_OFFLOAD) : 0;
  if (error == 0) {
    spdlog::info("port {}: the VLAN filter of {} is off", port, driver);
    return;
  }
  spdlog::warn(
      "port {}: cannot switch the VLAN filter of {} off ({}); the device may drop tagged frames",
      port, driver, ReasonOf(error));
}

}  // namespace

uint64_t VlanFilterOffload(const rte_eth_dev_info& info) {
  const std::string_view driver = info.driver_name;
  const bool stays_on =
      std::find(kFilterStaysOn.begin(), kFilterStaysOn.end(), driver) != kFilterStaysOn.end();
  // rte_eth_dev_vlan_filter needs the offload.
  return HasFilter(info) && stays_on ? RTE_ETH_RX_OFFLOAD_VLAN_FILTER : 0;
}

void PassAllVlans(uint16_t port_id, const std::string& port, const rte_eth_dev_info& info) {
  if (!HasFilter(info)) return;
  if (VlanFilterOffload(info) != 0) return RegisterAll(port_id, port, info.driver_name);
  SwitchOff(port_id, port, info.driver_name);
}

}  // namespace fairlead
