// What a dataplane leaves to the next one on the same host, however it ends: the last good image
// (image_file.h), the flow table (flow_memory.h) and the states of slots (slot_files.h). Management thread, before workers start.
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

  // Beside the link's socket, named after it: two dataplanes of a host have two links.
  static StateFiles Beside(const std::string& link_path);
};

// The table in `memory`: what is there, else an empty one of `records`. Says in the log which. Nobody
// may look at one that is empty before MakeFlowsPresent.
Result<FlowTable> OpenFlowTable(uint64_t records, FlowMemory* memory);

// Takes memory for the table that OpenFlowTable gave, unless that is done. REQUIRES that no other
// thread looks at it yet.
Status MakeFlowsPresent(uint64_t records, FlowMemory* memory);

}  // namespace fairlead
