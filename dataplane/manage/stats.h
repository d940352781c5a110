// Collects the counters of all workers. Any thread, as long as the tables exist.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/pipeline/counters.h"
#include "lib/link/stats.h"
#include "lib/table/forwarding_tables.h"
#include "lib/table/sweeper.h"

namespace fairlead {

// The sources of the sums. The management thread owns the objects behind the pointers.
struct StatsSource {
  std::vector<const WorkerCounters*> workers;
  // By worker index; empty: unknown.
  std::function<uint64_t(size_t worker)> longest_pause_us = {};
  const ForwardingTables* tables = nullptr;  // null: no services, no backends
  const Sweeper* sweeper = nullptr;          // null: no flow counts
  uint64_t flow_capacity = 0;
  uint64_t uptime_ms = 0;
  uint64_t swept_ms_ago = 0;
  ProbeCounts probes = {};
};

void Accumulate(const KernelPathStats& worker, KernelPathStats* sum);
struct PortKernelPath {
  std::string port;
  std::string interface;  // the TAP's name
  KernelPathStats stats;
};

// Services and backends are in the order of the tables. Reuses the memory of old statistics.
DataplaneStats CollectStats(const StatsSource& source, DataplaneStats memory = {});

// The line printed at exit: the counters as JSON. It has only drop reasons that occurred.
std::string ReportJson(const DataplaneStats& stats, const ForwardingTables* tables,
                       uint64_t mbufs_in_use, std::span<const PortKernelPath> kernel_paths = {});

// "10.0.0.11:8080"
std::string EndpointOf(const BackendEntry& backend);

}  // namespace fairlead
