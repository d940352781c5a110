// The file beside a store that names the last change which somebody was told is durable. It is not
// forced to the disk: after a power loss it is behind the store, never ahead of it. A store that does
// not know the change named here has lost it (docs/decisions/0018-lost-changes.md).
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
  // Opens or creates it.
  Status Open(const std::string& path);
  // Nothing where it is new or damaged.
  std::optional<AcknowledgedChange> Read() const;
  // What cannot be written tells less, and is no reason to refuse what is committed.
  void Write(const AcknowledgedChange& change);
  void Clear();

 private:
  UniqueFd file_;
};

}  // namespace fairlead
