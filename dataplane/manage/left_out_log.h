// Tells the log which backends new tables leave out, and which they take back. Management thread.
#pragma once

#include <span>

#include "lib/snapshot/view.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead {

// `next` was built from `snapshot` for `ports`; `previous`: what it takes the place of, or null.
// What has not changed is not told again; of many backends the first few are named.
void LogLeftOut(const SnapshotView& snapshot, std::span<const EgressPort> ports,
                const ForwardingTables& next, const ForwardingTables* previous);

}  // namespace fairlead
