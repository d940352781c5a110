#include "tools/fairctl/program.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead::fairctl {
namespace {

using ::testing::HasSubstr;

TEST(RunProgram, ReturnsTheStatusAndBothOutputs) {
  const Result<ProgramResult> result =
      RunProgram({"sh", "-c", "echo $0 \"$1\"; echo no >&2; exit 3", "one", "two  words"});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->status, 3);
  EXPECT_EQ(result->out, "one two  words\n");
  EXPECT_EQ(result->err, "no\n");
}

TEST(RunProgram, ReadsMoreThanAPipeHoldsFromBoth) {
  const Result<ProgramResult> result =
      RunProgram({"sh", "-c", "head -c 300000 /dev/zero >&2; head -c 200000 /dev/zero"});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->err.size(), 300'000U);
  EXPECT_EQ(result->out.size(), 200'000U);
}

TEST(RunProgram, GivesTheProgramNoInput) {
  const Result<ProgramResult> result = RunProgram({"cat"});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->status, 0);
  EXPECT_EQ(result->out, "");
}

TEST(RunProgram, TellsASignal) {
  const Result<ProgramResult> result = RunProgram({"sh", "-c", "kill -9 $$"});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->status, 137);
}

TEST(RunProgram, FailsIfThereIsNoSuchProgram) {
  const Result<ProgramResult> result = RunProgram({"/nonexistent/program"});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), ErrorCode::kNotFound);
  EXPECT_THAT(result.status().message(), HasSubstr("cannot run /nonexistent/program: No such"));
}

}  // namespace
}  // namespace fairlead::fairctl
