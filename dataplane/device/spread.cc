#include "dataplane/device/spread.h"

#include <algorithm>
#include <array>

namespace fairlead {
namespace {

// How frames get to a driver's receive queues.
enum class Spreads : uint8_t {
  kByRss,        // a NIC: by RSS, if it reports that
  kByOtherSide,  // whoever fills the queues spreads
  kNever,        // only the first queue receives
};

struct DriverFacts {
  std::string_view driver;
  Spreads spreads = Spreads::kByRss;
  std::string_view who = {};          // kByOtherSide: who spreads; kNever: why it does not
  bool unless_on_vmware = false;      // the row does not hold on VMware's hypervisors
  uint32_t most_queues = UINT32_MAX;  // of either direction, whatever the driver reports
};

// Drivers that need more than what they report. All others are NICs that do as they report.
constexpr auto kDrivers = std::to_array<DriverFacts>({
    // DPDK 22.11 as in Debian reports two queues of each direction for all models, but no RSS. The
    // 82540 and its relatives (QEMU's e1000) have one: what is sent on the second never leaves.
    {.driver = "net_e1000_em", .spreads = Spreads::kNever, .who = "has no RSS", .most_queues = 1},
    // QEMU's device accepts the RSS configuration, but puts all frames into the first queue.
    {.driver = "net_vmxnet3",
     .spreads = Spreads::kNever,
     .who = "has no RSS outside of VMware",
     .unless_on_vmware = true},
    {.driver = "net_virtio", .spreads = Spreads::kByOtherSide, .who = "the hypervisor"},
    {.driver = "net_virtio_user", .spreads = Spreads::kByOtherSide, .who = "the hypervisor"},
    {.driver = "net_vhost", .spreads = Spreads::kByOtherSide, .who = "the guest"},
    {.driver = "net_af_packet", .spreads = Spreads::kByOtherSide, .who = "the kernel"},
    {.driver = "net_af_xdp", .spreads = Spreads::kByOtherSide, .who = "the kernel's driver"},
    {.driver = "net_tap", .spreads = Spreads::kByOtherSide, .who = "the kernel"},
    {.driver = "net_memif", .spreads = Spreads::kByOtherSide, .who = "the other process"},
    {.driver = "net_pcap", .spreads = Spreads::kByOtherSide, .who = "a file for each queue"},
    {.driver = "net_ring", .spreads = Spreads::kByOtherSide, .who = "the sending worker"},
    {.driver = "net_null", .spreads = Spreads::kByOtherSide, .who = "nobody"},
});

DriverFacts FactsOf(const QueueFacts& facts) {
  for (const DriverFacts& row : kDrivers) {
    if (row.driver != facts.driver) continue;
    if (row.unless_on_vmware && facts.machine_vendor.starts_with("VMware")) break;
    return row;
  }
  return {};
}

std::string Count(uint32_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// Why the device cannot give each worker a receive queue with a share of the flows; "" = it can.
std::string HardwareObstacle(const QueueFacts& facts, const DriverFacts& driver,
                             uint32_t worker_count) {
  if (driver.spreads == Spreads::kNever) return std::string(driver.who);
  if (driver.spreads == Spreads::kByRss && !facts.has_rss) return "has no RSS";
  if (facts.max_rx_queues < worker_count) {
    return "has " + Count(facts.max_rx_queues, "receive queue") + " for " +
           Count(worker_count, "worker");
  }
  return "";
}

std::string HardwareSentence(const DriverFacts& driver, uint32_t worker_count) {
  if (driver.spreads == Spreads::kByRss) {
    return "spreads over " + Count(worker_count, "worker") + " by RSS, a queue each";
  }
  return "has a queue for each of " + Count(worker_count, "worker") + "; " +
         std::string(driver.who) + " spreads";
}

}  // namespace

Result<SpreadMode> ParseSpreadMode(std::string_view text) {
  if (text == "auto") return SpreadMode::kAuto;
  if (text == "hardware") return SpreadMode::kHardware;
  if (text == "software") return SpreadMode::kSoftware;
  if (text == "off") return SpreadMode::kOff;
  return InvalidArgument("'" + std::string(text) +
                         "' is no way to spread packets; write auto, hardware, software or off");
}

Result<SpreadPlan> PlanSpread(SpreadMode mode, const QueueFacts& facts, uint32_t worker_count,
                              uint32_t receiver) {
  const std::string device = facts.device + " (" + facts.driver + ")";
  if (facts.max_rx_queues == 0 || facts.max_tx_queues == 0) {
    return FailedPrecondition(device + " cannot both receive and send: it has " +
                              Count(facts.max_rx_queues, "receive queue") + " and " +
                              Count(facts.max_tx_queues, "transmit queue"));
  }
  const DriverFacts driver = FactsOf(facts);
  const std::string obstacle = HardwareObstacle(facts, driver, worker_count);
  if (mode == SpreadMode::kHardware && worker_count > 1 && !obstacle.empty()) {
    return FailedPrecondition("spread: hardware is not possible: " + device + " " + obstacle +
                              "; use spread: software, or --workers 1");
  }
  const bool may_use_hardware = mode == SpreadMode::kAuto || mode == SpreadMode::kHardware;
  SpreadPlan plan;
  // A device that does not spread is not trusted with several transmit queues either. At devices
  // that the other side spreads, a transmit queue may belong to the receive queue of that number.
  const bool many_tx = obstacle.empty() && (may_use_hardware || driver.spreads == Spreads::kByRss);
  plan.tx_queues = many_tx ? std::min({facts.max_tx_queues, driver.most_queues, worker_count}) : 1;
  const std::string worker = "worker " + std::to_string(receiver);
  if (worker_count == 1 || mode == SpreadMode::kOff) {
    plan.sentence = device + ": " + worker + " receives all packets";
  } else if (mode == SpreadMode::kSoftware) {
    plan.by = SpreadBy::kSoftware;
    plan.sentence = device + (obstacle.empty() ? ": " : " " + obstacle + "; ") + worker +
                    " receives and spreads over " + Count(worker_count, "worker") + " in software";
  } else if (obstacle.empty()) {
    plan.by = SpreadBy::kHardware;
    plan.rx_queues = worker_count;
    plan.sentence = device + " " + HardwareSentence(driver, worker_count);
  } else {
    plan.leaves_workers_idle = true;
    plan.sentence = device + " " + obstacle + "; " + worker +
                    " receives all packets, the others none (or spread: software)";
  }
  if (plan.tx_queues < worker_count) {
    plan.sentence += "; all workers share " + Count(plan.tx_queues, "transmit queue");
  }
  return plan;
}

}  // namespace fairlead
