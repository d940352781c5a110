// The state that a dataplane leaves to the next one on the same host, however it ends: the last
// good image (image_file.h), the flow table (flow_memory.h) and the slot states (slot_files.h).
// Management thread, before workers start.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "dataplane/manage/flow_memory.h"
#include "dataplane/manage/slot_files.h"
#include "lib/flow/flow_table.h"

namespace fairlead {

struct StateFiles {
  FlowMemory::Place flows;
  std::string slots;     // folder
  std::string snapshot;  // the last good image

  // Files beside the link's socket, named after it. Two dataplanes on a host have two links.
  static StateFiles Beside(const std::string& link_path);
};

// Opens the table in `memory`: an existing one, else an empty one of `records`. Logs which. Sets
// `records_taken_over`, unless it is null. REQUIRES MakeFlowsPresent before the first access to an
// empty one.
Result<FlowTable> OpenFlowTable(uint64_t records, FlowMemory* memory,
                                uint64_t* records_taken_over = nullptr);

// The flow table with its memory.
struct Flows {
  FlowMemory memory;
  FlowTable table;
  uint64_t records_taken_over = 0;
};
// Opens the memory at `place` (unset: private memory) and the table in it. For a large table that is
// taken over, this takes some 0.5 ms for each MiB, so it runs while DPDK starts. Any thread.
Result<Flows> OpenFlows(uint64_t records, const std::optional<FlowMemory::Place>& place);

// Allocates the memory of OpenFlowTable's table, if that is not done yet. REQUIRES that no other
// thread accesses the table yet. `progress`: as FlowMemory::MakePresent.
Status MakeFlowsPresent(uint64_t records, FlowMemory* memory,
                        const std::function<void()>& progress = {});

}  // namespace fairlead
