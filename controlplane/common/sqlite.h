// Two RAII wrappers of SQLite's C interface. No exceptions: every failure is a Status with SQLite's
// message. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "lib/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fairlead {

// A prepared statement. Bind() its parameters in order, then Step() until it returns false.
class SqliteStatement {
 public:
  SqliteStatement& Bind(std::string_view text);
  SqliteStatement& Bind(int64_t number);

  // True: there is a row. False: done.
  Result<bool> Step();
  // For statements without rows.
  Status Run();

  int64_t Integer(int column) const;
  std::string Text(int column) const;

 private:
  friend class SqliteDatabase;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  SqliteStatement(sqlite3* database, sqlite3_stmt* statement)
      : database_(database), statement_(statement) {}

  sqlite3* database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int next_position_ = 1;
  int bind_error_ = 0;
};

class SqliteDatabase {
 public:
  static Result<SqliteDatabase> Open(const std::string& path);

  Status Execute(const char* sql);
  Result<SqliteStatement> Prepare(const char* sql);
  Result<int64_t> QueryInteger(const char* sql);
  Result<std::string> QueryText(const char* sql);

  // Makes the SQL function `name`(number, sign), which adds number x sign to `sum`, modulo 2^64.
  // `sum` must outlive this object.
  Status AddAccumulator(const char* name, uint64_t* sum);
  // The file's absolute path.
  std::string path() const;
  // The bytes of a database file with the current content, made with SQLite's backup interface.
  Result<std::string> Backup();

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  explicit SqliteDatabase(sqlite3* database) : database_(database) {}

  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace fairlead
