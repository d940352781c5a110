// A port: one DPDK Ethernet device. The main thread opens and closes it. The workers use its queues
// (dataplane/worker/port_queues.h).
#pragma once

#include <rte_mempool.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/config/config.h"
#include "dataplane/device/interface.h"
#include "dataplane/device/tap_interface.h"
#include "dataplane/pipeline/pipeline.h"
#include "dataplane/port/port_queues.h"
#include "dataplane/steering/frontend_steering.h"
#include "lib/base/result.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

struct Port {
  std::string name;
  std::string device;     // as configured, or EAL's name
  std::string interface;  // the kernel's name, else `name`
  // The interface through which the kernel reaches this port's network; "" = none.
  std::string kernel_interface;
  // The kernel interface that the device is, or that its driver made; "" = none.
  std::string device_interface;
  // The kernel's index of the interface that the port was opened on (KernelInterface::kTarget);
  // 0 = none. An interface that is made again under the same name has another.
  uint32_t interface_index = 0;
  bool has_network = true;  // false: pcap, null, ring
  bool announce = true;
  std::vector<uint16_t> announce_vlans;  // PortConfig's
  uint16_t id = 0;                       // DPDK's
  std::optional<QueueSet> queues;        // set when the port is open
  std::optional<TapInterface> tap;       // its name is `interface`
  PortView view;
  std::vector<IpAddress> addresses;
  std::vector<Prefix> ipip_sources;
  std::optional<MacAddress> gateway;
  std::optional<FrontendSteering> steering;  // af_xdp: selects the packets that the port gets
  // Buffers in the fill rings. net_af_xdp (22.11) does not free them when it is closed.
  uint32_t kept_buffers = 0;
};

// The pool of all buffers of the process.
struct PoolDeleter {
  void operator()(rte_mempool* pool) const { rte_mempool_free(pool); }
};
using PoolPointer = std::unique_ptr<rte_mempool, PoolDeleter>;

// The largest IP packet that any configured port may carry. It determines the size of buffers.
Result<uint16_t> LargestMtu(const std::vector<PortConfig>& configs);

// The buffers of a dataplane.
struct BufferPlan {
  uint32_t count = 0;
  uint16_t mtu = 0;  // LargestMtu
  // AF_XDP: net_af_xdp shares as many bytes with the kernel as all buffers have, from the first
  // one on. But DPDK leaves space before a page's end where a buffer does not fit. So a buffer must
  // have the size of a page: else the kernel refuses the last ones.
  bool has_page_each = false;

  uint32_t Mebibytes() const;
};

BufferPlan PlanBuffers(const std::vector<PortConfig>& ports, uint16_t largest_mtu,
                       uint32_t worker_count);
Result<PoolPointer> CreatePool(const BufferPlan& plan);

class PortSet {
 public:
  // Creates, configures and starts every configured port. If none is configured, uses every device
  // that EAL has found. An error message names the port and says what to do. After a failure, ports
  // that were opened are closed.
  // REQUIRES that this process has claimed the devices (device_claims.h).
  static Result<PortSet> Open(const std::vector<PortConfig>& configs, uint32_t worker_count,
                              rte_mempool* pool);
  ~PortSet() { Close(); }
  PortSet(PortSet&&) noexcept = default;
  PortSet& operator=(PortSet&&) = delete;
  PortSet(const PortSet&) = delete;
  PortSet& operator=(const PortSet&) = delete;

  std::span<const Port> ports() const { return ports_; }
  std::span<Port> ports() { return ports_; }
  std::vector<PortView> Views() const;
  std::vector<EgressPort> EgressPorts() const;
  // Of all ports, with repetitions.
  std::vector<IpAddress> OwnAddresses() const;

  // Stops and closes all devices, which frees their buffers. Returns how many buffers are not freed
  // (Port::kept_buffers). REQUIRES that no worker runs.
  uint32_t Close();

 private:
  PortSet() = default;
  std::vector<Port> ports_;
};

}  // namespace fairlead
