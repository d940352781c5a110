// The body of a Stats message: all counters of a dataplane at one moment, and the counts of the
// last sweep of the flow table.
//
// Version 6 is flat like the snapshot. A header has the size of itself and of each section's
// records. Then follow the sections: drop counts, left-out reasons, services, backends, ports,
// workers. Reasons are sent by name, since the two programs may be of different releases. A reader
// skips fields that it does not know, and keeps the counts of unknown drop reasons by name. Version
// 3 is that of release 0.1.0 (stats_v3.cc). 4 and 5 were never released.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/counters/drop_reason.h"
#include "lib/counters/left_out.h"

namespace fairlead {

struct PacketTotals {  // rx + generated = tx + sum(drops) + to_kernel
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;
  uint64_t generated = 0;
  uint64_t to_kernel = 0;
  uint64_t drops[kDropReasonCount] = {};
};

// Packets of this host's health probes to backends. Those that were sent are also part of
// PacketTotals, as `generated` and `tx`, but of no service's and no backend's counts.
struct ProbeCounts {
  uint64_t packets = 0;  // sent
  uint64_t dropped = 0;  // not sent: no next hop, no such backend, a full queue, ...
};

struct FlowTotals {
  uint64_t capacity = 0;         // records
  uint64_t records = 0;          // live at the last sweep
  uint64_t pins = 0;             // of these, records whose slot has another owner now
  uint64_t new_flows = 0;        // records stored for flows new to their backend, since start
  uint64_t old_flows = 0;        // records stored for flows older than their slot's change
  uint64_t evicted = 0;          // live records that were evicted
  uint64_t untracked = 0;        // packets whose record could not be stored
  uint64_t swept_at_ms_ago = 0;  // age of `records` and of the backends' flow counts
};

struct ServiceStats {
  uint32_t id = 0;
  uint64_t packets = 0;  // that got a backend
  uint64_t bytes = 0;
  uint64_t drops = 0;  // of packets whose service was known
  uint64_t slots = 0;
  uint64_t shifting_slots = 0;  // of `slots`
  uint64_t pinned_slots = 0;    // of `slots`; all others are settled
};

struct BackendStats {
  uint32_t id = 0;
  uint64_t packets = 0;
  uint64_t bytes = 0;  // of IP packets, headers included
  uint64_t new_flows = 0;
  uint64_t flows = 0;  // live records at the last sweep, closing ones included
  uint64_t pins = 0;   // of these, records whose slot has another owner now
  // Shifting slots whose stable owner it is. It may still get unrecorded flows of these slots.
  uint64_t shifting_slots = 0;
  LeftOut left_out = LeftOut::kNo;
  // Of services with kServiceFollowHandshakes: followed handshakes that ended, answered or not.
  uint64_t handshakes_sampled = 0;
  uint64_t handshakes_unanswered = 0;  // of these
};

// What the steering program of an AF_XDP port did with the frames of its NIC.
struct SteeringStats {
  bool attached = false;      // false: the program was removed, and the port receives nothing
  uint64_t to_dataplane = 0;  // frames for a frontend or from a nat backend
  uint64_t to_kernel = 0;     // all others
  uint64_t no_socket = 0;     // as to_dataplane, on a queue without a worker; sent to the kernel
};

// Frames through a port's TAP. delivered + lost = frames with the verdict to_kernel.
struct KernelPathStats {
  uint64_t delivered = 0;  // to the kernel
  uint64_t lost = 0;       // not accepted by the TAP: it is full or down
  uint64_t received = 0;   // from the kernel
  uint64_t sent = 0;       // of `received`, given to the port
  uint64_t unsent = 0;     // of `received`, not accepted by the port
};

// A port's link, as last read: up to 250 ms ago.
struct LinkStats {
  bool is_up = false;
  uint32_t speed_mbps = 0;  // 0: not known, or the link is down
  uint64_t changes = 0;     // of is_up, since the dataplane started
  uint64_t for_ms = 0;      // how long is_up has been as it is; at most since the start
};

// Frames that the device lost before a worker or after it, as its driver counts them.
struct NicStats {
  uint64_t rx_missed = 0;     // its queues were full
  uint64_t rx_errors = 0;     // damaged
  uint64_t rx_no_buffer = 0;  // no packet buffer was free
  uint64_t tx_errors = 0;     // not sent
};

inline constexpr size_t kMaxPortNameBytes = 63;
inline constexpr size_t kMaxStatsPorts = 4096;

// These counts are not part of PacketTotals.
struct PortStats {
  std::string name;  // as in dataplane.yaml; cut if too long, with '?' for bytes that are not UTF-8
  std::string interface;  // the kernel's name, likewise
  std::optional<SteeringStats> steering = {};
  std::optional<KernelPathStats> kernel_path = {};
  std::optional<LinkStats> link = {};  // unset: the port has no network (pcap, null, ring)
  std::optional<NicStats> nic = {};    // unset: its driver does not count
};

struct WorkerStats {
  // The longest time between two polls of its ports since its start. A pause that has not ended
  // counts too. An idle worker sleeps for 200 us at a time. A pause of many milliseconds means that
  // it had no CPU.
  uint64_t longest_pause_us = 0;
  uint64_t rx_packets = 0;  // the worker's part of PacketTotals
};

inline constexpr size_t kMaxStatsWorkers = 1024;

struct NamedCount {
  std::string name;
  uint64_t count = 0;
  friend bool operator==(const NamedCount&, const NamedCount&) = default;
};

struct DataplaneStats {
  uint64_t generation = 0;
  uint64_t uptime_ms = 0;
  PacketTotals totals;
  std::vector<NamedCount> other_drops;  // counts of drop reasons that this release does not know
  FlowTotals flows;
  ProbeCounts probes;  // none in version 3
  std::vector<ServiceStats> services;
  std::vector<BackendStats> backends;
  std::vector<PortStats> ports;      // at most kMaxStatsPorts; no links in version 3
  std::vector<WorkerStats> workers;  // at most kMaxStatsWorkers, by index; none in version 3
};

inline constexpr uint32_t kStatsVersion = 6;
inline constexpr uint32_t kFirstStatsVersion = 3;  // of release 0.1.0

// In version 3, drops for a reason that release 0.1.0 does not know count as no_backend; left-out
// reasons, workers, links and NIC counters are not sent. `memory`, here and below: an object that is
// no longer needed. Its memory is used again, since there may be a hundred thousand backends each
// second. REQUIRES version 3 or 6.
std::vector<std::byte> EncodeStats(const DataplaneStats& stats, std::vector<std::byte> memory = {},
                                   uint32_t version = kStatsVersion);
// Decodes either version. Never trusts the bytes (fuzzed).
Result<DataplaneStats> DecodeStats(std::span<const std::byte> bytes, DataplaneStats memory = {});

}  // namespace fairlead
