// A port: one Ethernet device of DPDK with a queue pair per worker. Opened and closed by the main
// thread; workers use the id and the queue of their own index.
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
#include "dataplane/pipeline/pipeline.h"
#include "dataplane/steering/frontend_steering.h"
#include "lib/base/result.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

struct Port {
  std::string name;
  std::string device;     // as configured, or EAL's name
  std::string interface;  // the kernel's name, else `name`
  // Of the kernel, through which it reaches this port's network; "" where there is none.
  std::string kernel_interface;
  bool has_network = true;  // false: pcap, null, ring
  bool announce = true;
  uint16_t id = 0;                 // DPDK's
  std::optional<uint16_t> tap_id;  // of the TAP that the kernel sees it as, `interface`
  PortView view;
  std::vector<IpAddress> addresses;
  std::vector<Prefix> ipip_sources;
  std::optional<MacAddress> gateway;
  std::optional<PortClaim> claim;
  std::optional<FrontendSteering> steering;  // af_xdp: which packets the kernel leaves to the port
  // Buffers of its fill rings, which net_af_xdp (22.11) does not give back when it is closed.
  uint32_t kept_buffers = 0;
};

// All buffers of the process.
struct PoolDeleter {
  void operator()(rte_mempool* pool) const { rte_mempool_free(pool); }
};
using PoolPointer = std::unique_ptr<rte_mempool, PoolDeleter>;

// The largest IP packet any configured port may carry, for the size of buffers.
Result<uint16_t> LargestMtu(const std::vector<PortConfig>& configs);

// Buffers a dataplane of that size needs, and the megabytes they take.
uint32_t BufferCount(size_t port_count, uint32_t worker_count);
uint32_t BufferMebibytes(uint32_t buffer_count, uint16_t mtu);
Result<PoolPointer> CreatePool(uint32_t buffer_count, uint16_t mtu);

// By the kernel where the port is an interface of its own, else by the driver.
bool LinkIsUp(const Port& port);

class PortSet {
 public:
  // Makes, configures and starts every configured port, or, when none is configured, every device
  // that EAL has found. A failure's message names the port and says what to do; what was opened is
  // closed again.
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

  // Stops and closes all devices, which gives their buffers back, but for as many as it returns. No
  // worker may run.
  uint32_t Close();

 private:
  explicit PortSet(uint32_t worker_count) : worker_count_(worker_count) {}
  std::vector<Port> ports_;
  uint32_t worker_count_;
};

}  // namespace fairlead
