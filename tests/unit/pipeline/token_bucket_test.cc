#include "dataplane/pipeline/token_bucket.h"

#include <gtest/gtest.h>

namespace fairlead {
namespace {

uint32_t TakeAll(TokenBucket* bucket, uint64_t now_us) {
  uint32_t taken = 0;
  while (taken < 10'000 && bucket->Take(now_us)) ++taken;
  return taken;
}

TEST(TokenBucket, GivesItsBurstAtOnceAndThenItsRate) {
  TokenBucket bucket(100, 5);
  EXPECT_EQ(TakeAll(&bucket, 1'000'000), 5u);
  EXPECT_EQ(TakeAll(&bucket, 1'009'999), 0u);
  EXPECT_EQ(TakeAll(&bucket, 1'010'000), 1u);
  EXPECT_EQ(TakeAll(&bucket, 1'030'000), 2u);
}

TEST(TokenBucket, SavesNoMoreThanItsBurst) {
  TokenBucket bucket(100, 5);
  TakeAll(&bucket, 1);
  EXPECT_EQ(TakeAll(&bucket, uint64_t{1} << 62), 5u);
}

TEST(TokenBucket, GivesNothingIfTimeStandsStillOrGoesBack) {
  TokenBucket bucket(1'000'000, 1);
  EXPECT_TRUE(bucket.Take(500));
  EXPECT_FALSE(bucket.Take(500));
  EXPECT_FALSE(bucket.Take(10));
}

TEST(TokenBucket, GivesNothingAtRateZero) {
  TokenBucket bucket(0, 0);
  EXPECT_FALSE(bucket.Take(1));
  EXPECT_FALSE(bucket.Take(3'600'000'000));
}

}  // namespace
}  // namespace fairlead
