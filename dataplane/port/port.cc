#include "dataplane/port/port.h"

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include <net/if.h>
#include <spdlog/spdlog.h>

#include "dataplane/device/device_mtu.h"
#include "dataplane/eal/bootstrap.h"
#include "dataplane/eal/start_watch.h"
#include "dataplane/port/lacp_bond.h"
#include "dataplane/port/vlan_filter.h"

namespace fairlead {
namespace {

constexpr uint16_t kRxDescriptors = 1024;
constexpr uint16_t kTxDescriptors = 1024;
constexpr uint32_t kPoolCache = 256;  // buffers per lcore
constexpr uint16_t kDefaultMtu = 1500;
constexpr uint32_t kPageBytes = 4096;

uint16_t BufferDataBytes(uint16_t mtu) {
  // A buffer is as large as an AF_PACKET ring entry for this MTU (af_packet.cc), so that no frame
  // needs a second segment. Its size includes the headroom that the kernel keeps before a frame
  // received with AF_XDP.
  const uint32_t entry =
      std::bit_ceil(std::max(uint32_t{mtu} + kFrameOverhead + kXdpHeadroom, kMinBufferBytes));
  return static_cast<uint16_t>(std::min(entry + RTE_PKTMBUF_HEADROOM, 65535U));
}

// vmxnet3's descriptors have 14 bits for the length of a buffer. It would see 16 KiB as 0, and
// receive nothing. Other drivers like powers of two: e1000 would use half of this.
uint16_t MostBufferDataBytes() {
  constexpr uint16_t kMostForVmxnet3 = (1 << 14) - RTE_CACHE_LINE_SIZE;
  for (uint16_t id = 0; id < RTE_MAX_ETHPORTS; ++id) {
    rte_eth_dev_info info;
    if (rte_eth_dev_is_valid_port(id) != 0 && rte_eth_dev_info_get(id, &info) == 0 &&
        info.driver_name == std::string_view("net_vmxnet3")) {
      return kMostForVmxnet3 + RTE_PKTMBUF_HEADROOM;
    }
  }
  return UINT16_MAX;
}

// As rte_pktmbuf_pool_create, but each buffer, with the pool's header before it, has kPageBytes.
rte_mempool* CreatePoolOfPages(uint32_t count) {
  // DPDK adds no bytes to change the memory channel from buffer to buffer.
  constexpr uint32_t kFlags = RTE_MEMPOOL_F_NO_SPREAD;
  rte_mempool_objsz size;
  rte_mempool_calc_obj_size(RTE_CACHE_LINE_SIZE, kFlags, &size);
  const uint32_t element_bytes = kPageBytes - size.header_size - size.trailer_size;
  PoolPointer pool(rte_mempool_create_empty("fairlead", count, element_bytes, kPoolCache,
                                            sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY,
                                            kFlags));
  if (pool == nullptr ||
      rte_mempool_set_ops_byname(pool.get(), rte_mbuf_best_mempool_ops(), nullptr) != 0) {
    return nullptr;
  }
  rte_pktmbuf_pool_init(pool.get(), nullptr);  // derives the size of the data from the element's
  if (rte_mempool_populate_default(pool.get()) < 0) return nullptr;
  rte_mempool_obj_iter(pool.get(), rte_pktmbuf_init, nullptr);
  return pool.release();
}

Status PortError(const std::string& name, const std::string& what) {
  return FailedPrecondition("port " + name + ": " + what);
}

std::string WithEalError(const std::string& what) {
  const std::string error = TakeFirstEalError();
  return error.empty() ? what : what + " (" + error + ")";
}

Result<uint16_t> MtuOf(const PortConfig& config) {
  uint16_t mtu = kDefaultMtu;
  if (config.device.kind->kernel_interface == KernelInterface::kTarget) {
    const Result<uint16_t> found = ReadInterfaceMtu(config.device.target);
    if (!found.ok()) {
      return PortError(config.name, config.device.text + ": " + found.status().message());
    }
    mtu = std::min(*found, kMaxMtu);
  }
  return config.mtu.value_or(mtu);
}

// Creates the device, if its kind is created at run time, and finds its id.
Status Attach(const PortConfig& config, uint32_t index, uint32_t worker_count, uint16_t mtu,
              Port* port) {
  const DeviceSpec& device = config.device;
  const uint32_t queue_count = QueuesToCreate(config, worker_count);
  const std::string name = VdevName(device, index);
  if (!device.kind->vdev_prefix.empty()) {
    DeviceUse use{queue_count, mtu + kFrameOverhead};
    if (device.kind->prepare != nullptr) {
      ASSIGN_OR_RETURN(use.program, device.kind->prepare(device, config.name, queue_count));
    }
    const std::string arguments = VdevArguments(device, use);
    TakeFirstEalError();  // discards earlier errors
    const int error = rte_eal_hotplug_add("vdev", name.c_str(), arguments.c_str());
    if (error == -EBUSY || error == -EEXIST) {
      return PortError(config.name, device.text + " is already in use");
    }
    if (error != 0) {
      // Drivers return -1 for most errors. Their log says more.
      const std::string why = TakeFirstEalError();
      return PortError(config.name, "cannot open " + device.text + ": " +
                                        (why.empty() ? std::strerror(-error) : why));
    }
  }
  if (rte_eth_dev_get_port_by_name(name.c_str(), &port->id) != 0) {
    return PortError(config.name,
                     device.kind->is_pci
                         ? WithEalError("DPDK cannot open " + device.target +
                                        "; check that its driver is installed (librte-net-*), "
                                        "that all devices of its IOMMU group are bound to "
                                        "vfio-pci, and that no other process uses it")
                         : "EAL has no device '" + name + "'; create it with -- --vdev=" + name);
  }
  return {};
}

// `mtu`: to set on the device; unset: it keeps its own.
rte_eth_conf Configuration(const rte_eth_dev_info& info, const SpreadPlan& plan,
                           std::optional<uint16_t> mtu) {
  rte_eth_conf conf = {};
  if (plan.rx_queues > 1 && (info.flow_type_rss_offloads & kWantedRss) != 0) {
    conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & kWantedRss;
  }
  conf.rxmode.offloads =
      (info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) | VlanFilterOffload(info);
  // This offload requires that all buffers come from one pool and have a reference count of 1.
  conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
  if (mtu) conf.rxmode.mtu = *mtu;
  return conf;
}

// The MTU to set on the device. Unset: its kind of device has none to set.
std::optional<uint16_t> MtuOfDevice(const PortConfig& config, const rte_eth_dev_info& info,
                                    uint16_t mtu) {
  if (!config.device.kind->sets_mtu) return std::nullopt;
  const DeviceMtu device = DeviceMtuFor(mtu, {info.max_rx_pktlen, info.max_mtu});
  spdlog::info("port {}: MTU {}; the NIC's is {}, for frames of {} bytes", config.name, mtu,
               device.mtu, device.frame_bytes);
  if (mtu > device.most_with_tags) {
    spdlog::warn(
        "port {}: with MTU {}, {} ({}) has no space for two VLAN tags, and may drop tagged frames "
        "of full size; set mtu to {} or less where tags are used",
        config.name, mtu, config.device.text, info.driver_name, device.most_with_tags);
  }
  return device.mtu;
}

Status SetUpQueues(const Port& port, const rte_eth_dev_info& info, rte_mempool* pool) {
  uint16_t rx_descriptors = kRxDescriptors;
  uint16_t tx_descriptors = kTxDescriptors;
  if (rte_eth_dev_adjust_nb_rx_tx_desc(port.id, &rx_descriptors, &tx_descriptors) != 0) {
    return PortError(port.name, WithEalError("cannot set the queue lengths of " + port.device));
  }
  const int socket = rte_eth_dev_socket_id(port.id);
  const auto socket_id = static_cast<unsigned>(socket < 0 ? 0 : socket);
  rte_eth_rxconf rx = info.default_rxconf;
  rx.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
  rte_eth_txconf tx = info.default_txconf;
  tx.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
  const SpreadPlan& plan = port.queues->plan();
  for (uint16_t queue = 0; queue < std::max(plan.rx_queues, plan.tx_queues); ++queue) {
    if ((queue < plan.rx_queues &&
         rte_eth_rx_queue_setup(port.id, queue, rx_descriptors, socket_id, &rx, pool) != 0) ||
        (queue < plan.tx_queues &&
         rte_eth_tx_queue_setup(port.id, queue, tx_descriptors, socket_id, &tx) != 0)) {
      return PortError(port.name, WithEalError("cannot set up queue " + std::to_string(queue) +
                                               " of " + port.device + "; is it already in use?"));
    }
  }
  return {};
}

// Makes the device accept the port's own and extra MAC addresses, and all multicast (neighbour
// solicitations). Virtual devices without a filter refuse these calls, but accept all frames.
// `device_mac`: what it accepts already.
void OpenFilters(const Port& port, std::optional<MacAddress> device_mac,
                 std::span<const MacAddress> macs) {
  rte_eth_allmulticast_enable(port.id);
  for (const MacAddress& mac : macs) {
    if (mac == device_mac) continue;
    rte_ether_addr address;
    std::memcpy(address.addr_bytes, mac.bytes.data(), mac.bytes.size());
    if (rte_eth_dev_mac_addr_add(port.id, &address, 0) != 0) {
      rte_eth_promiscuous_enable(port.id);
    }
  }
}

// Sets Port::interface, kernel_interface and device_interface. A tap device has only the first: its interface
// is the port's network itself, so there is no other through which the kernel could reach it.
void NameInterface(const PortConfig& config, const rte_eth_dev_info& info, Port* port) {
  char name[IF_NAMESIZE] = {};
  const bool known = info.if_index != 0 && if_indextoname(info.if_index, name) != nullptr;
  port->interface = known ? name : port->name;
  switch (config.device.kind->kernel_interface) {
    case KernelInterface::kNone:
      break;
    case KernelInterface::kTarget:
      port->kernel_interface = port->device_interface = config.device.target;
      port->interface_index = if_nametoindex(config.device.target.c_str());
      break;
    case KernelInterface::kOfDriver:
      if (known) port->kernel_interface = port->device_interface = name;
      break;
  }
}

Status Start(const PortConfig& config, uint16_t mtu, const QueueUse& use, rte_mempool* pool,
             Port* port) {
  rte_eth_dev_info info = {};
  if (rte_eth_dev_info_get(port->id, &info) != 0) {
    return PortError(port->name, WithEalError("cannot query " + port->device));
  }
  Result<QueueSet> queues = QueueSet::Plan(config, info, use);
  if (!queues.ok()) return PortError(port->name, queues.status().message());
  port->queues.emplace(*std::move(queues));
  NameInterface(config, info, port);
  const std::string_view driver = info.driver_name;
  port->has_network = driver != "net_pcap" && driver != "net_null" && driver != "net_ring";

  const SpreadPlan& plan = port->queues->plan();
  const rte_eth_conf conf = Configuration(info, plan, MtuOfDevice(config, info, mtu));
  if (rte_eth_dev_configure(port->id, static_cast<uint16_t>(plan.rx_queues),
                            static_cast<uint16_t>(plan.tx_queues), &conf) != 0) {
    return PortError(port->name, WithEalError("cannot configure " + port->device + " with " +
                                              std::to_string(plan.rx_queues) + " receive and " +
                                              std::to_string(plan.tx_queues) + " transmit queues"));
  }
  const uint32_t in_use_before = rte_mempool_in_use_count(pool);
  RETURN_IF_ERROR(SetUpQueues(*port, info, pool));
  if (const int error = rte_eth_dev_start(port->id); error != 0) {
    return PortError(port->name,
                     WithEalError("cannot start " + port->device + ": " + std::strerror(-error)));
  }
  if (const Status shared = port->queues->Share(config, port->id); !shared.ok()) {
    return PortError(port->name, shared.message());
  }
  if (config.device.kind->is_steered) {
    Result<FrontendSteering> steering = FrontendSteering::Open(config.device.target);
    if (!steering.ok()) return PortError(port->name, steering.status().message());
    port->steering.emplace(*std::move(steering));
    port->kept_buffers = rte_mempool_in_use_count(pool) - in_use_before;
  }
  rte_ether_addr address = {};
  rte_eth_macaddr_get(port->id, &address);
  MacAddress device_mac;
  std::memcpy(device_mac.bytes.data(), address.addr_bytes, device_mac.bytes.size());
  std::vector<MacAddress> macs = config.macs;
  if (macs.empty()) macs.push_back(device_mac);
  OpenFilters(*port, IsLacpBond(info) ? std::nullopt : std::optional(device_mac), macs);
  PassAllVlans(port->id, port->name, info);
  port->view = PortView::Make(macs[0], std::span(macs).subspan(1), mtu, config.addresses);
  return {};
}

// Devices may report one MAC, as the members of a bond or virtual functions. That is right only if
// their networks are apart, which cannot be known here.
void WarnOfEqualMacs(std::span<const Port> ports) {
  for (size_t i = 0; i < ports.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!ports[i].has_network || !ports[j].has_network) continue;
      if (ports[i].view.mac != ports[j].view.mac) continue;
      spdlog::warn(
          "ports {} and {} both have MAC address {}: in one network, a switch takes them for one "
          "station; set mac of one of them in dataplane.yaml",
          ports[j].name, ports[i].name, ports[i].view.mac.ToString());
    }
  }
}

// A configuration for each device that EAL found.
std::vector<PortConfig> FoundPorts() {
  std::vector<PortConfig> configs;
  for (uint16_t id = 0; id < RTE_MAX_ETHPORTS; ++id) {
    if (rte_eth_dev_is_valid_port(id) == 0) continue;
    char name[RTE_ETH_NAME_MAX_LEN] = {};
    if (rte_eth_dev_get_name_by_port(id, name) != 0) continue;
    PortConfig config;
    config.name = name;
    config.device.kind = &kVdevDevice;
    config.device.text = config.device.target = name;
    configs.push_back(std::move(config));
  }
  return configs;
}

}  // namespace

Result<uint16_t> LargestMtu(const std::vector<PortConfig>& configs) {
  uint16_t largest = kDefaultMtu;
  std::string largest_name;
  for (const PortConfig& config : configs) {
    ASSIGN_OR_RETURN(const uint16_t mtu, MtuOf(config));
    if (mtu <= largest) continue;
    largest = mtu;
    largest_name = config.name;
  }
  for (const PortConfig& config : configs) {
    const uint16_t most = config.device.kind->max_mtu;
    if (largest <= most) continue;
    return PortError(config.name,
                     config.device.text + " limits the MTU of all ports to " +
                         std::to_string(most) + ", but port " + largest_name + " has " +
                         std::to_string(largest) +
                         "; reduce it (ip link set DEVICE mtu, or mtu in dataplane.yaml)");
  }
  return largest;
}

BufferPlan PlanBuffers(const std::vector<PortConfig>& ports, uint16_t largest_mtu,
                       uint32_t worker_count) {
  const auto port_count = static_cast<uint32_t>(std::max<size_t>(ports.size(), 1));
  // A ring of a Spreader takes the place of a receive queue.
  static_assert(Spreader::kRingLength <= kRxDescriptors);
  const uint32_t rings = port_count * worker_count * (kRxDescriptors + kTxDescriptors);
  // In the lcores' pool caches (at most 3/2 of their size) and in the bursts, made frames and
  // waiting fragments of each worker and of the management thread.
  const uint32_t elsewhere = (worker_count + 1) * (kPoolCache * 3 / 2 + 2 * kMaxBurst + kMaxMade +
                                                   FragmentStoreSettings().max_waiting);
  BufferPlan plan;
  // A mempool's ring has 2^n - 1 elements. This count wastes none.
  plan.count = std::bit_ceil(std::max(rings + elsewhere, 8192U)) - 1;
  plan.mtu = largest_mtu;
  plan.has_page_each = std::any_of(ports.begin(), ports.end(), [](const PortConfig& port) {
    return port.device.kind->is_steered;
  });
  return plan;
}

uint32_t BufferPlan::Mebibytes() const {
  // 128: mempool header, alignment
  const uint64_t each = has_page_each ? kPageBytes : BufferDataBytes(mtu) + sizeof(rte_mbuf) + 128;
  return static_cast<uint32_t>((count * each >> 20) + 1);
}

Result<PoolPointer> CreatePool(const BufferPlan& plan) {
  const uint16_t data_bytes = std::min(BufferDataBytes(plan.mtu), MostBufferDataBytes());
  PoolPointer pool(plan.has_page_each ? CreatePoolOfPages(plan.count)
                                      : rte_pktmbuf_pool_create("fairlead", plan.count, kPoolCache,
                                                                0, data_bytes, SOCKET_ID_ANY));
  if (pool == nullptr) {
    return ResourceExhausted(WithEalError("cannot allocate " + std::to_string(plan.count) +
                                          " packet buffers (" + std::to_string(plan.Mebibytes()) +
                                          " MiB); reserve more hugepages"));
  }
  return pool;
}

Result<PortSet> PortSet::Open(const std::vector<PortConfig>& configs, uint32_t worker_count,
                              rte_mempool* pool) {
  const std::vector<PortConfig> wanted = configs.empty() ? FoundPorts() : configs;
  if (wanted.empty()) {
    return FailedPrecondition(WithEalError(
        "no ports: EAL has found no device; name one with --port NAME=DEVICE or -- --vdev ..."));
  }
  PortSet set;
  set.ports_.reserve(wanted.size());
  for (uint32_t index = 0; index < wanted.size(); ++index) {
    const PortConfig& config = wanted[index];
    Port port;
    port.name = config.name;
    port.device = config.device.text;
    port.addresses = config.addresses;
    port.ipip_sources = config.ipip_sources;
    port.gateway = config.gateway;
    port.announce = config.announce;
    port.announce_vlans = config.announce_vlans;
    BeginStartStep("opening port " + config.name + " (" + config.device.text + ")");
    ASSIGN_OR_RETURN(const uint16_t mtu, MtuOf(config));
    RETURN_IF_ERROR(Attach(config, index, worker_count, mtu, &port));
    set.ports_.push_back(std::move(port));  // `set` closes it from here on
    Port& opened = set.ports_.back();
    RETURN_IF_ERROR(Start(config, mtu, {index, worker_count}, pool, &opened));
    if (config.kernel_tap.empty()) continue;
    Result<TapInterface> tap =
        TapInterface::Open({config.kernel_tap, opened.view.mac, opened.view.mtu, worker_count});
    if (!tap.ok()) {
      return PortError(config.name,
                       "kernel: tap:" + config.kernel_tap + " " + tap.status().message());
    }
    opened.tap.emplace(*std::move(tap));
    opened.interface = opened.kernel_interface = config.kernel_tap;
  }
  WarnOfEqualMacs(set.ports_);
  IgnoreOutgoingOnPacketSockets();
  return set;
}

std::vector<PortView> PortSet::Views() const {
  std::vector<PortView> views;
  for (const Port& port : ports_) views.push_back(port.view);
  return views;
}

std::vector<IpAddress> PortSet::OwnAddresses() const {
  std::vector<IpAddress> all;
  for (const Port& port : ports_) {
    all.insert(all.end(), port.addresses.begin(), port.addresses.end());
  }
  return all;
}

std::vector<EgressPort> PortSet::EgressPorts() const {
  std::vector<EgressPort> ports;
  for (const Port& port : ports_) {
    ports.push_back({port.interface, port.view.mac, port.view.mtu, port.addresses,
                     port.ipip_sources, port.gateway});
  }
  return ports;
}

uint32_t PortSet::Close() {
  uint32_t kept = 0;
  for (const Port& port : ports_) {
    // An empty burst makes net_af_xdp free the buffers that the kernel has sent. It does not
    // implement rte_eth_tx_done_cleanup.
    for (uint16_t queue = 0; port.steering && queue < port.queues->plan().tx_queues; ++queue) {
      rte_eth_tx_burst(port.id, queue, nullptr, 0);
    }
    kept += port.kept_buffers;
    rte_eth_dev_stop(port.id);
    rte_eth_dev_close(port.id);
  }
  ports_.clear();
  return kept;
}

}  // namespace fairlead
