#include "controlplane/core/store_rows.h"

#include <array>
#include <cstdlib>

#include "controlplane/core/row_digest.h"
#include "controlplane/core/store.h"

namespace fairlead {

namespace {

constexpr StoreTable kOwnTables[] = {
    {"meta", R"(
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL);
)"},
    {"status", R"(
CREATE TABLE status (backend_id INTEGER PRIMARY KEY, health INTEGER NOT NULL,
                     since_ms INTEGER NOT NULL, outcome INTEGER NOT NULL, detail INTEGER NOT NULL,
                     port INTEGER NOT NULL, failures INTEGER NOT NULL,
                     drain_revision INTEGER NOT NULL, drain_end INTEGER NOT NULL,
                     flows_kept INTEGER NOT NULL, finished_ms INTEGER NOT NULL,
                     checksum INTEGER NOT NULL);
)"},
    {"changes", R"(
CREATE TABLE changes (generation INTEGER PRIMARY KEY, id INTEGER NOT NULL,
                      checksum INTEGER NOT NULL);
)"},
    {"history", R"(
CREATE TABLE history (revision INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, author TEXT NOT NULL,
                      changes TEXT NOT NULL, checksum INTEGER NOT NULL);
)"},
};

}  // namespace

std::vector<StoreTable> AllTables(ResourceList resources) {
  std::vector<StoreTable> tables(std::begin(kOwnTables), std::end(kOwnTables));
  for (const Resource* resource : resources) {
    tables.insert(tables.end(), resource->tables.begin(), resource->tables.end());
  }
  return tables;
}

namespace {

int64_t MetaDigest(const std::string& key, const std::string& value) {
  return RowDigest("meta").Add(key).Add(value).value();
}

// The columns of a status row between its id and its checksum.
constexpr int kStatusColumns = 10;
// The column `outcome`: the lower 8 bits are the CheckOutcome, the upper ones the check type's
// number.
constexpr int kOutcomeBits = 8;
constexpr int64_t kOutcomeMask = (1 << kOutcomeBits) - 1;
// The column `port`: the lower 16 bits are the port, then 16 bits for CheckResult::frontend, and one
// for passes_directly.
constexpr int kPortBits = 16;
constexpr int kPassesDirectlyBit = 32;
using StatusNumbers = std::array<int64_t, kStatusColumns>;

StatusNumbers NumbersOf(const StoredStatus& status) {
  const Health& health = status.health;
  const DrainProgress& drain = status.drain;
  return {
      static_cast<int64_t>(health.state),
      health.since_ms,
      static_cast<int64_t>(health.verdict.outcome) | int64_t{health.verdict.type} << kOutcomeBits,
      health.verdict.detail,
      int64_t{health.verdict.port} | int64_t{health.verdict.frontend} << kPortBits |
          int64_t{health.verdict.passes_directly ? 1 : 0} << kPassesDirectlyBit,
      health.verdict.failures,
      static_cast<int64_t>(drain.drain_revision),
      static_cast<int64_t>(drain.end),
      drain.flows_kept ? 1 : 0,
      drain.finished_ms};
}

StoredStatus FromNumbers(const StatusNumbers& numbers) {
  StoredStatus status;
  status.health.state = static_cast<HealthState>(numbers[0]);
  status.health.since_ms = numbers[1];
  status.health.verdict.outcome = static_cast<CheckOutcome>(numbers[2] & kOutcomeMask);
  status.health.verdict.type = static_cast<uint8_t>(numbers[2] >> kOutcomeBits);
  status.health.verdict.detail = static_cast<int32_t>(numbers[3]);
  status.health.verdict.port = static_cast<uint16_t>(numbers[4]);
  status.health.verdict.frontend = static_cast<uint16_t>(numbers[4] >> kPortBits);
  status.health.verdict.passes_directly = (numbers[4] >> kPassesDirectlyBit & 1) != 0;
  status.health.verdict.failures = static_cast<uint16_t>(numbers[5]);
  status.drain.drain_revision = static_cast<uint64_t>(numbers[6]);
  status.drain.end = static_cast<DrainEnd>(numbers[7]);
  status.drain.flows_kept = numbers[8] != 0;
  status.drain.finished_ms = numbers[9];
  // The row does not contain the count, but this end implies it.
  if (status.drain.end == DrainEnd::kNoFlowsRemain) status.drain.remaining_flows = 0;
  return status;
}

int64_t StatusDigest(int64_t backend_id, const StatusNumbers& numbers) {
  RowDigest digest("status");
  digest.Add(backend_id);
  for (const int64_t number : numbers) digest.Add(number);
  return digest.value();
}

int64_t ChangeDigest(int64_t generation, int64_t id) {
  return RowDigest("change").Add(generation).Add(id).value();
}

int64_t HistoryDigest(const HistoryEntry& entry) {
  return RowDigest("history")
      .Add(static_cast<int64_t>(entry.revision))
      .Add(entry.at_ms)
      .Add(entry.author)
      .Add(entry.changes)
      .value();
}

}  // namespace

Status PutMeta(SqliteDatabase* database, const char* key, uint64_t value) {
  const std::string text = std::to_string(value);
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database->Prepare("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)"));
  return statement.Bind(key).Bind(text).Bind(MetaDigest(key, text)).Run();
}

Result<uint64_t> LoadMeta(SqliteDatabase* database, const char* key) {
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database->Prepare("SELECT value, checksum FROM meta WHERE key = ?"));
  statement.Bind(key);
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return DamagedStore(std::string("meta has no ") + key);
  const std::string text = statement.Text(0);
  if (statement.Integer(1) != MetaDigest(key, text)) {
    return DamagedStore(std::string("checksum of meta ") + key + " does not match");
  }
  return std::strtoull(text.c_str(), nullptr, 10);
}

Status PutStatusRow(SqliteDatabase* database, uint32_t backend_id, const StoredStatus& status) {
  const StatusNumbers numbers = NumbersOf(status);
  ASSIGN_OR_RETURN(
      SqliteStatement statement,
      database->Prepare("INSERT OR REPLACE INTO status SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
                        "?10, ?11, ?12 WHERE EXISTS (SELECT 1 FROM backends WHERE id = ?1)"));
  statement.Bind(int64_t{backend_id});
  for (const int64_t number : numbers) statement.Bind(number);
  return statement.Bind(StatusDigest(backend_id, numbers)).Run();
}

Status PutChangeRow(SqliteDatabase* database, uint64_t generation, uint64_t id) {
  const auto number = static_cast<int64_t>(generation);
  const auto value = static_cast<int64_t>(id);
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database->Prepare("INSERT OR REPLACE INTO changes VALUES (?, ?, ?)"));
  return statement.Bind(number).Bind(value).Bind(ChangeDigest(number, value)).Run();
}

Status PutHistoryRow(SqliteDatabase* database, const HistoryEntry& entry) {
  ASSIGN_OR_RETURN(SqliteStatement statement,
                   database->Prepare("INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?)"));
  return statement.Bind(static_cast<int64_t>(entry.revision))
      .Bind(entry.at_ms)
      .Bind(entry.author)
      .Bind(entry.changes)
      .Bind(HistoryDigest(entry))
      .Run();
}

Result<std::unordered_map<uint32_t, StoredStatus>> LoadStatus(SqliteDatabase* database) {
  std::unordered_map<uint32_t, StoredStatus> status;
  ASSIGN_OR_RETURN(SqliteStatement rows, database->Prepare("SELECT * FROM status"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return status;
    StatusNumbers numbers{};
    for (int i = 0; i < kStatusColumns; ++i) {
      numbers[static_cast<size_t>(i)] = rows.Integer(i + 1);
    }
    const auto is_within = [](int64_t number, auto last) {
      return number >= 0 && number <= static_cast<int64_t>(last);
    };
    if (rows.Integer(kStatusColumns + 1) != StatusDigest(rows.Integer(0), numbers) ||
        !is_within(numbers[0], HealthState::kUnhealthy) ||
        !is_within(numbers[2] & kOutcomeMask, CheckOutcome::kFailed) ||
        !is_within(numbers[2] >> kOutcomeBits, UINT8_MAX) ||
        !is_within(numbers[7], DrainEnd::kNoRecords)) {
      return DamagedStore("checksum or a value of the status of backend " +
                          std::to_string(rows.Integer(0)) + " is wrong");
    }
    status[static_cast<uint32_t>(rows.Integer(0))] = FromNumbers(numbers);
  }
}

Result<uint64_t> LoadChanges(SqliteDatabase* database, KnownChanges* changes) {
  ASSIGN_OR_RETURN(
      SqliteStatement rows,
      database->Prepare("SELECT generation, id, checksum FROM changes ORDER BY generation"));
  uint64_t last = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return last;
    if (rows.Integer(2) != ChangeDigest(rows.Integer(0), rows.Integer(1))) {
      return DamagedStore("checksum of change " + std::to_string(rows.Integer(0)) +
                          " does not match");
    }
    last = static_cast<uint64_t>(rows.Integer(1));
    changes->Add(static_cast<uint64_t>(rows.Integer(0)), last);
  }
}

Result<std::vector<HistoryEntry>> LoadHistory(SqliteDatabase* database, uint64_t from,
                                              size_t limit) {
  std::vector<HistoryEntry> entries;
  ASSIGN_OR_RETURN(SqliteStatement rows,
                   database->Prepare("SELECT revision, at_ms, author, changes, checksum FROM "
                                     "history WHERE revision >= ? ORDER BY revision LIMIT ?"));
  rows.Bind(static_cast<int64_t>(from)).Bind(static_cast<int64_t>(limit));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return entries;
    HistoryEntry entry{static_cast<uint64_t>(rows.Integer(0)), rows.Integer(1), rows.Text(2),
                       rows.Text(3)};
    if (rows.Integer(4) != HistoryDigest(entry)) {
      return DamagedStore("checksum of revision " + std::to_string(entry.revision) +
                          " does not match");
    }
    entries.push_back(std::move(entry));
  }
}

}  // namespace fairlead
