// Writes and reads the rows of the store, with their checksums. A damaged row fails with a message
// that names it. Called by Store, by resources and by the migration of older stores.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "controlplane/common/sqlite.h"
#include "controlplane/core/history.h"
#include "controlplane/core/intent.h"
#include "controlplane/core/known_changes.h"
#include "controlplane/core/resource.h"
#include "controlplane/core/status_board.h"

namespace fairlead {

// The store's own tables and those of the resources.
std::vector<StoreTable> AllTables(ResourceList resources);

Status PutMeta(SqliteDatabase* database, const char* key, uint64_t value);
Result<uint64_t> LoadMeta(SqliteDatabase* database, const char* key);

// Rows of resources that the migration needs too. Each is defined in its resource's file.
Status PutServiceRow(SqliteDatabase* database, uint32_t id, const ServiceSpec& settings);
Status DeleteServiceRow(SqliteDatabase* database, const std::string& name);
Status PutBackendRow(SqliteDatabase* database, const std::string& service,
                     const BackendIntent& backend);
Status DeleteBackendRow(SqliteDatabase* database, uint32_t id);  // and its status row
Status PutDrainRow(SqliteDatabase* database, uint32_t backend_id, const DrainIntent& drain);
Status DeleteDrainRow(SqliteDatabase* database, uint32_t backend_id);
// Does nothing if the backend is gone: its status may arrive after its removal.
Status PutStatusRow(SqliteDatabase* database, uint32_t backend_id, const StoredStatus& status);
Status PutChangeRow(SqliteDatabase* database, uint64_t generation, uint64_t id);
Status PutHistoryRow(SqliteDatabase* database, const HistoryEntry& entry);

Result<std::unordered_map<uint32_t, StoredStatus>> LoadStatus(SqliteDatabase* database);
// Reads all changes that are kept. Returns the id of the newest; 0: there is none.
Result<uint64_t> LoadChanges(SqliteDatabase* database, KnownChanges* changes);
Result<std::vector<HistoryEntry>> LoadHistory(SqliteDatabase* database, uint64_t from,
                                              size_t limit);

}  // namespace fairlead
