// The state that a dataplane leaves to the next one on the same host, however it ends: the last
// good image (image_file.h), the flow table (flow_memory.h) and the slot states (slot_files.h).
// Management thread, before workers start.
#pragma once

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

// Opens the table in `memory`: an existing one, else an empty one of `records`. Logs which.
// REQUIRES MakeFlowsPresent before the first access to an empty one.
Result<FlowTable> OpenFlowTable(uint64_t records, FlowMemory* memory);

// Allocates the memory of OpenFlowTable's table, if that is not done yet. REQUIRES that no other
// thread accesses the table yet.
Status MakeFlowsPresent(uint64_t records, FlowMemory* memory);

}  // namespace fairlead
