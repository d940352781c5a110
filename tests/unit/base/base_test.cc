#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "lib/base/check.h"
#include "lib/base/endian.h"
#include "lib/base/result.h"

namespace fairlead {
namespace {

TEST(Check, AbortsWithFileAndExpression) {
  EXPECT_DEATH(CHECK(1 + 1 == 3), "base_test.cc:[0-9]+: CHECK failed: 1 \\+ 1 == 3");
}

TEST(Check, PassesWithoutEffectAndEvaluatesOnce) {
  int evaluations = 0;
  CHECK(++evaluations == 1);
  EXPECT_EQ(evaluations, 1);
}

TEST(Check, DcheckIsNotEvaluatedInReleaseBuilds) {
#ifdef NDEBUG
  int evaluations = 0;
  DCHECK(++evaluations == 2);
  EXPECT_EQ(evaluations, 0);
#else
  EXPECT_DEATH(DCHECK(false), "CHECK failed: false");
#endif
}

TEST(Endian, StoresNetworkOrder) {
  const Be16 port = Be16::FromHost(0x1234);
  EXPECT_EQ(port.bytes[0], 0x12);
  EXPECT_EQ(port.bytes[1], 0x34);
  const Be32 word = Be32::FromHost(0x89abcdef);
  EXPECT_EQ(word.bytes[0], 0x89);
  EXPECT_EQ(word.bytes[3], 0xef);
}

TEST(Endian, ReadsBackEveryPort) {
  for (uint32_t value = 0; value <= 0xffff; ++value) {
    ASSERT_EQ(Be16::FromHost(static_cast<uint16_t>(value)).host(), value);
  }
  for (const uint32_t value : {0U, 1U, 0x80000000U, 0xffffffffU, 0x01020304U}) {
    EXPECT_EQ(Be32::FromHost(value).host(), value);
  }
}

TEST(Endian, RawKeepsTheBytesAsInMemory) {
  const Be16 word{{0xaa, 0xbb}};
  const uint16_t raw = word.raw();
  EXPECT_EQ(std::memcmp(&raw, word.bytes, 2), 0);
  const Be32 longer{{1, 2, 3, 4}};
  const uint32_t raw32 = longer.raw();
  EXPECT_EQ(std::memcmp(&raw32, longer.bytes, 4), 0);
}

Result<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("value " + std::to_string(value) + " is odd");
  return value / 2;
}

Result<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const int half, Half(value));
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

Status CheckEven(int value) {
  RETURN_IF_ERROR(Half(value).status());
  return Status();
}

TEST(Result, CarriesAValue) {
  const Result<int> half = Half(8);
  ASSERT_TRUE(half.ok());
  EXPECT_EQ(*half, 4);
  EXPECT_TRUE(half.status().ok());
}

TEST(Result, CarriesCodeAndMessage) {
  const Result<int> half = Half(7);
  ASSERT_FALSE(half.ok());
  EXPECT_EQ(half.status().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(half.status().message(), "value 7 is odd");
}

TEST(Result, PropagatesTheInnerError) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "value 3 is odd");
  EXPECT_TRUE(CheckEven(2).ok());
  EXPECT_EQ(CheckEven(5).message(), "value 5 is odd");
}

TEST(Result, HoldsAMoveOnlyType) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
  const std::unique_ptr<int> value = *std::move(result);
  EXPECT_EQ(*value, 5);
}

TEST(Result, ReadingTheValueOfAnErrorAborts) {
  const Result<int> half = Half(7);
  EXPECT_DEATH(static_cast<void>(half.value()), "CHECK failed: ok\\(\\)");
}

TEST(Result, AnErrorWithoutACodeAborts) {
  EXPECT_DEATH(static_cast<void>(Status(ErrorCode::kOk, "no error")), "CHECK failed");
  EXPECT_DEATH(static_cast<void>(Result<int>(Status())), "CHECK failed");
}

TEST(Status, EachFactoryFunctionSetsItsCode) {
  EXPECT_EQ(NotFound("").code(), ErrorCode::kNotFound);
  EXPECT_EQ(AlreadyExists("").code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(FailedPrecondition("").code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(ResourceExhausted("").code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(Unavailable("").code(), ErrorCode::kUnavailable);
  EXPECT_EQ(DataLoss("").code(), ErrorCode::kDataLoss);
  EXPECT_EQ(Internal("").code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace fairlead
