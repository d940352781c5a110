// How the packets of a port get to the workers (`spread` of a port in dataplane.yaml), and how many
// queues that takes. No DPDK.
//
//   hardware   Each worker polls a receive queue of its own. The NIC spreads the flows (RSS), or
//              whoever fills the queues does: the kernel, the hypervisor, the process at the other
//              end.
//   software   The port has one receive queue. One worker polls it and passes packets on to the
//              others by a hash of the flow (dataplane/worker/spreader.h).
//   off        The port has one receive queue, and one worker processes all its packets.
//   auto       hardware if the device can, else off: software has cost more than it gained
//              (docs/decisions/0026-spreading.md).
//
// A device is believed only what it has shown to do. No frame can test a queue at the start: only
// traffic from other hosts reaches the receive queues. So kDrivers (spread.cc) lists the drivers
// that report queues or RSS that they do not have.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace fairlead {

enum class SpreadMode : uint8_t { kAuto, kHardware, kSoftware, kOff };

// "auto", "hardware", "software" or "off".
Result<SpreadMode> ParseSpreadMode(std::string_view text);

// What the driver and the host say about a device.
struct QueueFacts {
  std::string device;  // as configured
  std::string driver;  // "net_ice"
  uint32_t max_rx_queues = 1;
  uint32_t max_tx_queues = 1;
  bool has_rss = false;        // the driver reports RSS over IP addresses or ports
  std::string machine_vendor;  // of this computer, or the hypervisor's: "QEMU"; "" = not known
};

enum class SpreadBy : uint8_t { kHardware, kSoftware, kNothing };

struct SpreadPlan {
  SpreadBy by = SpreadBy::kNothing;
  // Either one for each worker, or 1.
  uint32_t rx_queues = 1;
  // Less than the number of workers: workers share queues.
  uint32_t tx_queues = 1;
  // For the log, without the port's name: "0000:3b:00.0 (net_ice) spreads over 4 workers by RSS".
  std::string sentence;
  // auto: the hardware cannot spread, so all packets go to one of several workers.
  bool leaves_workers_idle = false;
};

// Plans the queues of a port. `receiver`: the worker that polls the port if only one does. Errors
// name the device and what to do, but not the port.
Result<SpreadPlan> PlanSpread(SpreadMode mode, const QueueFacts& facts, uint32_t worker_count,
                              uint32_t receiver);

}  // namespace fairlead
