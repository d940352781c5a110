// The file beside a store that names the last acknowledged change. The file is not forced to the
// disk: after a power loss it may be older than the store, but never newer. A store that does not
// know the change named here has lost it (docs/decisions/0018-lost-changes.md).
//
// One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lib/base/result.h"
#include "lib/host/own_files.h"

namespace fairlead {

struct AcknowledgedChange {
  uint64_t generation = 0;
  uint64_t change_id = 0;
};

class AcknowledgedFile {
 public:
  // Opens or creates the file.
  Status Open(const std::string& path);
  // nullopt if the file is new or damaged.
  std::optional<AcknowledgedChange> Read() const;
  // Ignores errors: the change is committed already. A file that names no change, or an older one,
  // only detects fewer losses.
  void Write(const AcknowledgedChange& change);
  void Clear();

 private:
  UniqueFd file_;
};

}  // namespace fairlead
