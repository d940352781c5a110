// The probe of grpc, against a server that answers, and against servers that do what they should
// not.
#include <fstream>
#include <utility>

#include <gmock/gmock.h>

#include "controlplane/observe/health/grpc_dialogue.h"
#include "tests/unit/controlplane/grpc_server.h"
#include "tests/unit/controlplane/probe_test.h"
#include "tests/unit/controlplane/scripted_server.h"

namespace fairlead {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

std::string GrpcMessage(const std::string& message) {
  return std::string("\0\0\0\0", 4) + static_cast<char>(message.size()) + message;
}

const std::string kServingMessage = GrpcMessage("\x08\x01");

TEST(GrpcMessages, AreEncodedAndDecoded) {
  EXPECT_EQ(EncodeHealthRequest(""), std::string(5, '\0'));
  EXPECT_EQ(EncodeHealthRequest("cart"), std::string("\0\0\0\0\x06\x0a\x04", 7) + "cart");
  const std::string long_name(200, 'x');
  EXPECT_EQ(EncodeHealthRequest(long_name), std::string("\0\0\0\0\xcb\x0a\xc8\x01", 8) + long_name);
  EXPECT_EQ(DecodeHealthResponse(kServingMessage), 1U);
  EXPECT_EQ(DecodeHealthResponse(GrpcMessage("")), 0U);
  // Unknown fields of each wire type, before and after.
  const std::string others("\x10\x05\x1a\x02hi\x21XXXXXXXX\x2dXXXX", 20);
  EXPECT_EQ(DecodeHealthResponse(GrpcMessage(others + "\x08\x03" + others)), 3U);
}

TEST(GrpcMessages, DamagedOnesAreRefused) {
  const std::string damaged[] = {
      "",
      std::string("\0\0\0\0", 4),
      std::string("\1\0\0\0\2\x08\x01", 7),  // compressed
      kServingMessage + "x",
      kServingMessage.substr(0, 6),
      GrpcMessage("\x08"),
      GrpcMessage("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
      GrpcMessage("\x1a\x09hi"),
      GrpcMessage("\x1b"),  // a group
      GrpcMessage("\x21XXXX"),
  };
  for (const std::string& each : damaged) EXPECT_EQ(DecodeHealthResponse(each), std::nullopt);
}

std::string JudgeGrpc(const GrpcScript& script, const std::string& service, GrpcServer* server,
                      size_t piece) {
  CheckSettings settings = DefaultCheckSettings(kGrpcCheck);
  settings[0] = service;
  const IpAddress address = IpAddress::Parse("10.0.0.1").value();
  GrpcDialogue dialogue(ReadGrpcSettings(settings, address, 50051), milliseconds(700));
  for (int round = 0; round < 10 && !dialogue.answer(); ++round) {
    server->Receive(dialogue.TakeOutput());
    const std::string bytes = server->TakeOutput();
    for (size_t at = 0; at < bytes.size() && !dialogue.answer(); at += piece) {
      dialogue.Receive(std::string_view(bytes).substr(at, piece));
    }
  }
  if (!dialogue.answer()) return "no answer to " + script.status;
  if (dialogue.answer()->outcome == CheckOutcome::kPassed) return "passed";
  return kGrpcCheck.failure_text({dialogue.answer()->detail, settings, address});
}

struct GrpcRow {
  GrpcScript script;
  std::string outcome;
};

TEST(GrpcDialogue, JudgesTheAnswer) {
  const GrpcRow rows[] = {
      {{.message = kServingMessage}, "passed"},
      {{.content_type = "application/grpc+proto", .message = kServingMessage}, "passed"},
      {{.message = GrpcMessage("\x08\x02")}, "service \"cart\" is NOT_SERVING"},
      {{.message = GrpcMessage("\x08\x03")}, "the state of service \"cart\" is SERVICE_UNKNOWN"},
      {{.message = GrpcMessage("")}, "the state of service \"cart\" is UNKNOWN"},
      {{.status = "12"}, "the server has no health service (UNIMPLEMENTED)"},
      {{.status = "5"}, "the server does not know service \"cart\" (NOT_FOUND)"},
      {{.message = kServingMessage, .status = "14"}, "gRPC status 14 (UNAVAILABLE)"},
      {{.http_status = "404", .content_type = "text/html", .message = "<h1>", .status = ""},
       "HTTP status 404"},
      {{.content_type = "text/html", .message = "<h1>hello", .status = ""},
       "the answer is not gRPC"},
      {{.content_type = "text/html", .message = std::string(9000, 'x'), .status = ""},
       "the answer is not gRPC"},
      {{.message = std::string(9000, 'x')}, "the answer is longer than a check reads"},
      {{.message = kServingMessage, .status = ""}, "the answer is not gRPC"},
      {{.message = kServingMessage, .status = "x"}, "the answer is not gRPC"},
      {{.message = "\x08\x01"}, "the answer is not gRPC"},
      {{.resets = true}, "the server ended the HTTP/2 connection or stream (ENHANCE_YOUR_CALM)"},
      {{.goes_away = true}, "the server ended the HTTP/2 connection or stream (REFUSED_STREAM)"},
  };
  for (const GrpcRow& row : rows) {
    for (const size_t piece : {1U, 10'000U}) {
      GrpcServer server(row.script);
      EXPECT_EQ(JudgeGrpc(row.script, "cart", &server, piece), row.outcome);
    }
  }
}

TEST(GrpcDialogue, AsksForTheService) {
  GrpcServer server({.message = kServingMessage});
  EXPECT_EQ(JudgeGrpc({}, "cart", &server, 4096), "passed");
  const std::map<std::string, std::string> expected = {{":method", "POST"},
                                                       {":scheme", "http"},
                                                       {":path", "/grpc.health.v1.Health/Check"},
                                                       {":authority", "10.0.0.1:50051"},
                                                       {"te", "trailers"},
                                                       {"content-type", "application/grpc"},
                                                       {"user-agent", "fairlead"},
                                                       {"grpc-timeout", "700m"}};
  EXPECT_EQ(server.request(), expected);
  EXPECT_EQ(server.body(), EncodeHealthRequest("cart"));
}

TEST(GrpcDialogue, EndsWithAServerThatTalksForever) {
  GrpcDialogue dialogue(ReadGrpcSettings(DefaultCheckSettings(kGrpcCheck), IpAddress(), 80),
                        milliseconds(700));
  dialogue.TakeOutput();
  dialogue.Receive(std::string("\0\0\0\4\0\0\0\0\0", 9));  // SETTINGS
  const std::string ping = std::string("\0\0\x08\6\0\0\0\0\0", 9) + "12345678";
  size_t count = 0;
  for (; count < 100'000 && !dialogue.answer(); ++count) {
    dialogue.Receive(ping);
    dialogue.TakeOutput();
  }
  ASSERT_TRUE(dialogue.answer());
  EXPECT_EQ(KindOfFailure(dialogue.answer()->detail), CheckFailure::kTooLong);
}

// Serves one connection until its client is gone.
template <typename Stream>
void ServeGrpc(Stream& stream, const GrpcScript& script) {
  GrpcServer server(script);
  char bytes[4096];
  boost::system::error_code error;
  while (!error) {
    const std::string output = server.TakeOutput();
    if (!output.empty() && !Send(stream, output)) return;
    const size_t length = stream.read_some(boost::asio::buffer(bytes), error);
    server.Receive({bytes, length});
  }
}

using GrpcCheckTest = ProbeTest;

TEST_F(GrpcCheckTest, PassesWithoutTls) {
  ScriptedServer server(
      [](ServerSocket& socket) { ServeGrpc(socket, {.message = kServingMessage}); });
  EXPECT_EQ(Outcome(R"({"type": "grpc"})", server.port()), "passed");
}

TEST_F(GrpcCheckTest, NeedsH2OverTls) {
  const TestIdentity own =
      IssueCertificate({.common_name = "x", .alternative_names = "IP:127.0.0.1"}, nullptr);
  TempDir directory;
  std::ofstream(directory.File("ca.pem")) << own.Pem();
  const std::string check = R"({"type": "grpc", "tls": {"enabled": true, "ca_file": ")" +
                            directory.File("ca.pem") + R"("}})";
  const auto serve = [](ServerTlsStream& stream) {
    ServeGrpc(stream, {.message = kServingMessage});
  };
  ScriptedServer server(OverTls({.identity = own, .alpn = "h2"}, serve));
  EXPECT_EQ(Outcome(check, server.port()), "passed");
  EXPECT_TRUE(Probe(check, server.port()).certificate_not_after_s.has_value());
  ScriptedServer without_alpn(OverTls({.identity = own}, serve));
  EXPECT_EQ(Outcome(check, without_alpn.port()),
            "the TLS server 127.0.0.1 does not offer h2 (ALPN)");
  // A server that refuses h2 by an alert, as nginx does.
  ScriptedServer refusing(OverTls({.identity = own, .alpn = "h3"}, serve));
  EXPECT_EQ(Outcome(check, refusing.port()), "the TLS server 127.0.0.1 does not offer h2 (ALPN)");
  EXPECT_EQ(Outcome(R"({"type": "grpc"})", server.port()),
            "the server closed the connection before its answer was complete");
}

TEST_F(GrpcCheckTest, ServersThatAreNotHttp2Fail) {
  ScriptedServer http1([](ServerSocket& socket) {
    Send(socket, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    AwaitEnd(socket);
  });
  EXPECT_EQ(Outcome(R"({"type": "grpc"})", http1.port()), "the answer is not HTTP/2");
  ScriptedServer closing([](ServerSocket& socket) {
    char bytes[24];
    boost::asio::read(socket, boost::asio::buffer(bytes));
  });
  EXPECT_THAT(Outcome(R"({"type": "grpc"})", closing.port()),
              testing::AnyOf("the server closed the connection before its answer was complete",
                             "Connection reset by peer"));
  ScriptedServer silent([](ServerSocket& socket) { AwaitEnd(socket); });
  EXPECT_EQ(Outcome(R"({"type": "grpc"})", silent.port(), milliseconds(300)), "timed out");
}

}  // namespace
}  // namespace fairlead
