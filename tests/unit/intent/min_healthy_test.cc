#include "lib/intent/min_healthy.h"

#include <gtest/gtest.h>

#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

Result<ServiceSpec> WithMinHealthy(const Json& value) {
  return ServiceFromJson({{"name", "web"},
                          {"frontends", nlohmann::json::array({"203.0.113.10:80/tcp"})},
                          {"min_healthy", value}});
}

TEST(MinHealthy, IsANumberOrAShare) {
  EXPECT_EQ(WithMinHealthy(2)->min_healthy, (MinHealthy{.count = 2}));
  EXPECT_EQ(WithMinHealthy("2")->min_healthy, (MinHealthy{.count = 2})) << "as fairctl sends it";
  EXPECT_EQ(WithMinHealthy("30%")->min_healthy, (MinHealthy{.percent = 30}));
  EXPECT_EQ(WithMinHealthy("100%")->min_healthy, (MinHealthy{.percent = 100}));
  EXPECT_FALSE(WithMinHealthy(0)->min_healthy.is_set());
  EXPECT_FALSE(ServiceSpec().min_healthy.is_set()) << "stored services have none";
}

TEST(MinHealthy, CanBeReadBack) {
  for (const Json& value : {Json(0), Json(2), Json(32767), Json("1%"), Json("100%")}) {
    EXPECT_EQ(ServiceToJson(*WithMinHealthy(value)).at("min_healthy"), value);
  }
}

TEST(MinHealthy, RefusesOtherValuesWithTheRemedy) {
  for (const Json& value :
       {Json(-1), Json("-1"), Json("0%"), Json("101%"), Json("30 %"), Json("%"), Json(""),
        Json("two"), Json("1.5%"), Json(1.5), Json(32768), Json(4294967298), Json("4294967298"),
        Json("30%%"), Json(true), Json(nullptr), Json::array({2})}) {
    const Result<ServiceSpec> service = WithMinHealthy(value);
    ASSERT_FALSE(service.ok()) << value;
    EXPECT_EQ(service.status().message(),
              "min_healthy: " + value.dump() +
                  " is not a number of backends such as 2, a share of 1% to 100% such as \"30%\", "
                  "or 0 for none");
  }
}

TEST(RequiredHealthy, RoundsAShareUpAndNeverExceedsTheBackends) {
  const MinHealthy third{.percent = 30};
  EXPECT_EQ(RequiredHealthy(third, 10), 3U);
  EXPECT_EQ(RequiredHealthy(third, 11), 4U);
  EXPECT_EQ(RequiredHealthy(third, 1), 1U);
  EXPECT_EQ(RequiredHealthy(third, 0), 0U);
  EXPECT_EQ(RequiredHealthy({.percent = 100}, 32767), 32767U);
  EXPECT_EQ(RequiredHealthy({.count = 2}, 10), 2U);
  EXPECT_EQ(RequiredHealthy({.count = 20}, 10), 10U);
  EXPECT_EQ(RequiredHealthy({}, 10), 0U);
}

TEST(IsBelowMinHealthy, NeedsOneMoreToReturnOrAll) {
  const MinHealthy two{.count = 2};
  EXPECT_FALSE(IsBelowMinHealthy(two, {2, 5}, false));
  EXPECT_TRUE(IsBelowMinHealthy(two, {1, 5}, false));
  EXPECT_TRUE(IsBelowMinHealthy(two, {2, 5}, true));
  EXPECT_FALSE(IsBelowMinHealthy(two, {3, 5}, true));
  EXPECT_FALSE(IsBelowMinHealthy(two, {2, 2}, true)) << "all are healthy";
  const MinHealthy all{.percent = 100};
  EXPECT_TRUE(IsBelowMinHealthy(all, {4, 5}, true));
  EXPECT_FALSE(IsBelowMinHealthy(all, {5, 5}, true));
  EXPECT_FALSE(IsBelowMinHealthy({}, {0, 5}, false)) << "no minimum";
  EXPECT_FALSE(IsBelowMinHealthy(two, {0, 0}, true)) << "no backends";
}

}  // namespace
}  // namespace fairlead
