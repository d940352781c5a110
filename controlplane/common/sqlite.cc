#include "controlplane/common/sqlite.h"

#include <cstring>
#include <sqlite3.h>

namespace fairlead {
namespace {

Status Failure(sqlite3* database, int code) {
  std::string message = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  const int primary = code & 0xff;
  // SQLite says "disk I/O error" whenever the system refuses something. access() adds the reason if
  // the file is not writable.
  const char* file = database != nullptr ? sqlite3_db_filename(database, "main") : nullptr;
  const bool refused =
      primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY;
  if (refused && file != nullptr && *file != '\0' && ::access(file, W_OK) != 0) {
    message += std::string(" (") + std::strerror(errno) + ")";
  }
  switch (primary) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLoss(std::move(message));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return FailedPrecondition("in use by another process (" + message +
                                "); stop the other fairleadd, or choose another --store");
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return Unavailable(std::move(message));
    default:
      return Internal(std::move(message));
  }
}

}  // namespace

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

SqliteStatement& SqliteStatement::Bind(std::string_view text) {
  const int code = sqlite3_bind_text64(statement_.get(), next_position_++, text.data(), text.size(),
                                       SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int64_t number) {
  const int code = sqlite3_bind_int64(statement_.get(), next_position_++, number);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

Result<bool> SqliteStatement::Step() {
  if (bind_error_ != SQLITE_OK) return Failure(nullptr, bind_error_);
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return Failure(database_, code);
}

Status SqliteStatement::Run() {
  ASSIGN_OR_RETURN(const bool row, Step());
  if (row) return Internal("a statement that should change rows returned one");
  return {};
}

int64_t SqliteStatement::Integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string SqliteStatement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

void SqliteDatabase::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Result<SqliteDatabase> SqliteDatabase::Open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  SqliteDatabase database(raw);
  if (code != SQLITE_OK) return Failure(raw, code);
  return database;
}

std::string SqliteDatabase::path() const {
  const char* const file = sqlite3_db_filename(database_.get(), "main");
  return file == nullptr ? "" : file;
}

Status SqliteDatabase::Execute(const char* sql) {
  const int code = sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Failure(database_.get(), code);
  return {};
}

Status SqliteDatabase::AddAccumulator(const char* name, uint64_t* sum) {
  const auto add = [](sqlite3_context* context, int, sqlite3_value** arguments) {
    auto* total = static_cast<uint64_t*>(sqlite3_user_data(context));
    const auto number = static_cast<uint64_t>(sqlite3_value_int64(arguments[0]));
    *total += sqlite3_value_int64(arguments[1]) < 0 ? 0 - number : number;
    sqlite3_result_null(context);
  };
  const int code = sqlite3_create_function_v2(database_.get(), name, 2, SQLITE_UTF8, sum, add,
                                              nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Failure(database_.get(), code);
  return {};
}

Result<std::string> SqliteDatabase::Backup() {
  ASSIGN_OR_RETURN(const SqliteDatabase copy, Open(":memory:"));
  sqlite3_backup* backup =
      sqlite3_backup_init(copy.database_.get(), "main", database_.get(), "main");
  if (backup == nullptr) return Failure(copy.database_.get(), SQLITE_ERROR);
  sqlite3_backup_step(backup, -1);
  if (const int code = sqlite3_backup_finish(backup); code != SQLITE_OK) {
    return Failure(copy.database_.get(), code);
  }
  sqlite3_int64 size = 0;
  const std::unique_ptr<unsigned char, void (*)(void*)> bytes(
      sqlite3_serialize(copy.database_.get(), "main", &size, 0), sqlite3_free);
  if (bytes == nullptr) return ResourceExhausted("no memory for a copy of the store");
  return std::string(reinterpret_cast<const char*>(bytes.get()), static_cast<size_t>(size));
}

Result<SqliteStatement> SqliteDatabase::Prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(database_.get(), sql, -1, &statement, nullptr);
  if (code != SQLITE_OK) return Failure(database_.get(), code);
  return SqliteStatement(database_.get(), statement);
}

Result<int64_t> SqliteDatabase::QueryInteger(const char* sql) {
  ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return DataLoss(std::string("no row for: ") + sql);
  return statement.Integer(0);
}

Result<std::string> SqliteDatabase::QueryText(const char* sql) {
  ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return DataLoss(std::string("no row for: ") + sql);
  return statement.Text(0);
}

}  // namespace fairlead
