// Migrates a store of an older schema to the present one. Reads and checks all rows by the rules of
// the old schema, keeps a copy of the file as PATH.schema-N, and writes the new tables in one
// transaction. If the process dies before the commit, the old store remains.
#pragma once

#include <cstdint>
#include <string>

#include "controlplane/core/store.h"

namespace fairlead {

// REQUIRES an open database with schema `version`, older than the present one. Call before
// Store::FollowChecksums().
Status MigrateStore(Store* store, const std::string& path, int64_t version);

}  // namespace fairlead
