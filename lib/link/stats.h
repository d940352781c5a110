// The body of a Stats message: all counters of a dataplane at one moment, and what the sweep of the
// flow table counted last.
//
// Version 6 is flat like the snapshot: a header with the size of itself and of each section's records,
// then the sections: drop counts, reasons for which backends are left out, services, backends, ports,
// workers. Reasons travel with their names, so that the two programs may be of different releases: a
// reader skips fields that it does not know, and keeps drop counts that it does not know by name.
// Version 3 is release 0.1.0's (stats_v3.cc). 4 and 5 were never released.
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

struct FlowTotals {
  uint64_t capacity = 0;         // records
  uint64_t records = 0;          // live at the last sweep
  uint64_t pins = 0;             // of these, of slots that have another owner now
  uint64_t new_flows = 0;        // records stored for flows new to their backend, since start
  uint64_t old_flows = 0;        // records stored for flows older than their slot's change
  uint64_t evicted = 0;          // live records that had to make room
  uint64_t untracked = 0;        // packets whose record could not be stored
  uint64_t swept_at_ms_ago = 0;  // age of `records` and of the backends' flow counts
};

struct ServiceStats {
  uint32_t id = 0;
  uint64_t packets = 0;  // chosen a backend
  uint64_t bytes = 0;
  uint64_t drops = 0;  // after the service was known
  uint64_t slots = 0;
  uint64_t shifting_slots = 0;  // of these
  uint64_t pinned_slots = 0;    // of these; the rest is settled
};

struct BackendStats {
  uint32_t id = 0;
  uint64_t packets = 0;
  uint64_t bytes = 0;  // of IP packets, headers included
  uint64_t new_flows = 0;
  uint64_t flows = 0;  // live records at the last sweep, closing ones included
  uint64_t pins = 0;   // of these, of slots that have another owner now
  // Shifting slots of which it is the stable owner: flows without a record may yet come to it.
  uint64_t shifting_slots = 0;
  LeftOut left_out = LeftOut::kNo;
};

// What the steering program of an AF_XDP port did with the frames of its NIC.
struct SteeringStats {
  bool attached = false;      // false: somebody took the program away, the port receives nothing
  uint64_t to_dataplane = 0;  // frames about frontends
  uint64_t to_kernel = 0;     // all others
  uint64_t no_socket = 0;     // about frontends, on a queue without a worker: the kernel got them
};

// What went through a port's TAP, frames.
struct KernelPathStats {
  uint64_t delivered = 0;  // to the kernel; with `lost`: those with the verdict to_kernel
  uint64_t lost = 0;       // the TAP took no more, or is down
  uint64_t received = 0;   // from the kernel
  uint64_t sent = 0;       // of these
  uint64_t unsent = 0;     // of these: the port took no more
};

inline constexpr size_t kMaxPortNameBytes = 63;
inline constexpr size_t kMaxStatsPorts = 4096;

// None of it is in PacketTotals.
struct PortStats {
  std::string name;       // as dataplane.yaml has it; longer ones are cut, what is no UTF-8 is '?'
  std::string interface;  // the kernel's name, likewise
  std::optional<SteeringStats> steering = {};
  std::optional<KernelPathStats> kernel_path = {};
};

struct WorkerStats {
  // Between two polls of its ports, since its start; one that lasts counts too. A sleep of a worker
  // with nothing to do is one of 200 us; one of many milliseconds says that it had no CPU.
  uint64_t longest_pause_us = 0;
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
  std::vector<NamedCount> other_drops;  // by reasons that this release does not know, by name
  FlowTotals flows;
  std::vector<ServiceStats> services;
  std::vector<BackendStats> backends;
  std::vector<PortStats> ports;      // at most kMaxStatsPorts
  std::vector<WorkerStats> workers;  // at most kMaxStatsWorkers, by index; none in version 3
};

inline constexpr uint32_t kStatsVersion = 6;
inline constexpr uint32_t kFirstStatsVersion = 3;  // of release 0.1.0

// In version 3, drops by a reason that release 0.1.0 does not know are counted as no_backend, and
// reasons for which backends are left out, and workers, are not told. `memory`, here and below: of what
// is no longer needed. There may be a hundred thousand backends each second. REQUIRES version 3 or 6.
std::vector<std::byte> EncodeStats(const DataplaneStats& stats, std::vector<std::byte> memory = {},
                                   uint32_t version = kStatsVersion);
// Either version. Never trusts the bytes (fuzzed).
Result<DataplaneStats> DecodeStats(std::span<const std::byte> bytes, DataplaneStats memory = {});

}  // namespace fairlead
