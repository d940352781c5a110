// Brings a store of an older schema to the present one: everything is read and checked as that schema
// had it, a copy of the file is kept as PATH.schema-N, and the new tables are written in one
// transaction. A process that dies in the middle leaves the old store.
#pragma once

#include <cstdint>
#include <string>

#include "controlplane/core/store.h"

namespace fairlead {

// REQUIRES an open database of schema `version` below the present one, before Store follows checksums.
Status MigrateStore(Store* store, const std::string& path, int64_t version);

}  // namespace fairlead
