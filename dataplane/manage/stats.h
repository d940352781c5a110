// All counters of all workers at one moment. Any thread, while the tables passed in live.
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

// What is summed up. The spans and pointers are the management thread's.
struct StatsSource {
  std::vector<const WorkerCounters*> workers;
  // By worker; empty: unknown.
  std::function<uint64_t(size_t worker)> longest_pause_us = {};
  const ForwardingTables* tables = nullptr;  // null: no services, no backends
  const Sweeper* sweeper = nullptr;          // null: no flow counts
  uint64_t flow_capacity = 0;
  uint64_t uptime_ms = 0;
  uint64_t swept_ms_ago = 0;
};

void Accumulate(const KernelPathStats& worker, KernelPathStats* sum);
struct PortKernelPath {
  std::string port;
  std::string interface;  // the TAP's name
  KernelPathStats stats;
};

// Services and backends in the order of the tables.
// `memory`: of statistics that are no longer needed.
DataplaneStats CollectStats(const StatsSource& source, DataplaneStats memory = {});

// The line that is printed at exit: the counters as JSON, drops by name, only those that happened.
std::string ReportJson(const DataplaneStats& stats, const ForwardingTables* tables,
                       uint64_t mbufs_in_use, std::span<const PortKernelPath> kernel_paths = {});

// "10.0.0.11:8080"
std::string EndpointOf(const BackendEntry& backend);

}  // namespace fairlead
