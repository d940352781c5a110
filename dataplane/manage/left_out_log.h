// Logs which backends new tables leave out, and which they use again. Management thread.
#pragma once

#include <span>

#include "lib/snapshot/view.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

// `next` was built from `snapshot` for `ports`. `previous`: the tables that it replaces, or null.
// Logs changes only. If there are many backends, names only the first few.
void LogLeftOut(const SnapshotView& snapshot, std::span<const EgressPort> ports,
                const ForwardingTables& next, const ForwardingTables* previous);

}  // namespace fairlead
