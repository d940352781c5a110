#include "controlplane/http/router.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "controlplane/common/log.h"
#include "controlplane/common/time.h"

namespace fairlead {
namespace {

namespace asio = boost::asio;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> Split(std::string_view target) {
  Result<std::vector<std::string>> segments = SplitTarget(target);
  EXPECT_TRUE(segments.ok()) << target;
  return segments.ok() ? *std::move(segments) : std::vector<std::string>();
}

TEST(SplitTarget, DecodesEachSegmentSeparately) {
  EXPECT_THAT(Split("/v1/services/web"), ElementsAre("v1", "services", "web"));
  EXPECT_THAT(Split("/a%2Fb/%5B2001:db8::1%5D:80"), ElementsAre("a/b", "[2001:db8::1]:80"));
  EXPECT_THAT(Split("/a/"), ElementsAre("a", ""));
  EXPECT_THAT(Split("/"), ElementsAre(""));
}

TEST(SplitTarget, RejectsATargetThatIsNotAPlainPath) {
  for (const char* target : {"", "v1", "*", "http://x/v1", "/a%", "/a%2", "/a%zz", "/a%00b",
                             "/a%0a", "/a%7F", "/v1/status?verbose=1", "/a?"}) {
    EXPECT_FALSE(SplitTarget(target).ok()) << target;
  }
}

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    const auto echo = [](const char* name) {
      return [name](const HttpRequest& request) -> asio::awaitable<HttpReply> {
        HttpReply reply;
        reply.body = name;
        for (const auto& [key, value] : request.parameters) {
          reply.body += " " + key + "=" + value;
        }
        co_return reply;
      };
    };
    router_.Add("GET", "/things", echo("list"));
    router_.Add("GET", "/things/{thing}", echo("show"));
    router_.Add("DELETE", "/things/{thing}", echo("remove"));
  }

  HttpReply Ask(const std::string& method, const std::string& target) {
    HttpRequest request;
    request.method = method;
    request.target = target;
    const HttpHandler handler = router_.Find(&request, &pattern_);
    asio::io_context context;
    HttpReply answer;
    asio::co_spawn(context, handler(request),
                   [&](std::exception_ptr, HttpReply reply) { answer = std::move(reply); });
    context.run();
    return answer;
  }

  Router router_;
  std::string pattern_;
};

TEST_F(RouterTest, FindsAHandlerByMethodAndPathAndReturnsParameters) {
  EXPECT_EQ(Ask("GET", "/things").body, "list");
  EXPECT_EQ(Ask("GET", "/things/a%20b").body, "show thing=a b");
  EXPECT_EQ(pattern_, "/things/{thing}");
  EXPECT_EQ(Ask("DELETE", "/things/x").body, "remove thing=x");
}

TEST_F(RouterTest, UnknownPathIs404) {
  EXPECT_EQ(Ask("GET", "/other").status, 404U);
  EXPECT_EQ(Ask("GET", "/things/").status, 404U);
  EXPECT_EQ(Ask("GET", "/things/a/b").status, 404U);
  EXPECT_EQ(pattern_, "");
}

TEST_F(RouterTest, WrongMethodIs405AndNamesTheAllowedOnes) {
  const HttpReply reply = Ask("PUT", "/things/x");
  EXPECT_EQ(reply.status, 405U);
  EXPECT_THAT(reply.headers, testing::Contains(testing::Pair("Allow", "GET, DELETE")));
}

TEST_F(RouterTest, BadTargetIs400) { EXPECT_EQ(Ask("GET", "/things/%zz").status, 400U); }

TEST(ErrorReply, NamesTheFieldOfADecodeError) {
  const HttpReply reply =
      ErrorReply(InvalidArgument("backends[1].weight: 2000 is not within 0..1000"));
  EXPECT_EQ(reply.status, 400U);
  const auto json = nlohmann::json::parse(reply.body);
  EXPECT_EQ(json["error"]["code"], "invalid_argument");
  EXPECT_EQ(json["error"]["field"], "backends[1].weight");
}

TEST(FormatRfc3339, IsUtcWithMilliseconds) {
  EXPECT_EQ(FormatRfc3339(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatRfc3339(1'714'564'800'250), "2024-05-01T12:00:00.250Z");
  EXPECT_EQ(FormatRfc3339(-1), "1969-12-31T23:59:59.999Z");
}

TEST(Log, TextQuotesValuesThatWouldBreakTheLine) {
  EXPECT_EQ(FormatLogLine(false, "T", LogLevel::kInfo, "event",
                          {{"plain", "10.0.0.1:80"},
                           {"blank", "a b"},
                           {"empty", ""},
                           {"lines", "a\nb"},
                           {"quote", "say \"x\""},
                           {"count", 3}}),
            R"(T info event plain=10.0.0.1:80 blank="a b" empty="" lines="a\nb" )"
            R"(quote="say \"x\"" count=3)");
}

TEST(Log, JsonIsOneObjectPerLine) {
  const std::string line = FormatLogLine(true, "T", LogLevel::kError, "event",
                                         {{"reason", "bad \xff byte\nand line"}, {"count", 3}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["level"], "error");
  EXPECT_EQ(json["event"], "event");
  EXPECT_EQ(json["count"], "3");
}

TEST(Log, RefusesUnknownFormatAndLevel) {
  EXPECT_FALSE(ConfigureLog("xml", "info").ok());
  EXPECT_FALSE(ConfigureLog("text", "loud").ok());
}

}  // namespace
}  // namespace fairlead
