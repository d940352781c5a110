// What was changed, when and by whom: one entry for each revision of the intent. The store keeps
// the entries for `history`, rollback, and watchers that reconnect.
#pragma once

#include <cstdint>
#include <string>

#include "controlplane/core/resource.h"

namespace fairlead {

inline constexpr uint64_t kMaxHistoryEntries = 10'000;
inline constexpr uint64_t kMaxHistoryBytes = uint64_t{32} << 20;

struct HistoryEntry {
  uint64_t revision = 0;
  int64_t at_ms = 0;    // wall time
  std::string author;   // "root", "uid 1000"; empty: fairleadd itself
  std::string changes;  // JSON: DescribeChanges()
};

// A JSON array with one object for each difference, in the order of `resources`:
//   {"hash_seed": {"before": N, "after": N}}
//   {"service": NAME, "before": settings or null, "after": settings or null}
//   {"service": NAME, "backend": ENDPOINT, "before": backend or null, "after": backend or null}
// Settings are as in services.yaml, without backends. A backend is as in services.yaml, with
// "owner" unless it belongs to people, and with "drain" {started_ms, deadline_ms} while it is to
// drain.
std::string DescribeChanges(ResourceList resources, const Intent& before, const Intent& after);

}  // namespace fairlead
