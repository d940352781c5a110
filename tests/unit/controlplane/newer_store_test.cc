// The store of a newer fairleadd: what an older one says about it.
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controlplane/core/store.h"
#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

TEST(NewerStore, IsRefusedAndTheNewestCopyThatCanBeReadIsNamed) {
  const TempDir directory;
  const std::string path = directory.File("store.db");
  ASSERT_TRUE(Store::Open(path).ok());
  {
    Result<SqliteDatabase> database = SqliteDatabase::Open(path);
    ASSERT_TRUE(database.ok() && database->Execute("PRAGMA user_version=4").ok());
  }
  const Status status = Store::Open(path).status();
  EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("store.db: the store has schema version 4"));
  EXPECT_THAT(status.message(), EndsWith("start the newer fairleadd that wrote it"));
  for (const char* copy : {"store.db.schema-1", "store.db.schema-3", "store.db.schema-4"}) {
    std::ofstream(directory.File(copy)) << "the copy";
  }
  EXPECT_THAT(
      Store::Open(path).status().message(),
      HasSubstr("or put " + path + ".schema-3, the copy made at the upgrade, in its place"));
}

}  // namespace
}  // namespace fairlead
