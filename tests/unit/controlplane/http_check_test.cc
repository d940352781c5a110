// The probes of http and https, against servers that do what they should not.
#include <atomic>
#include <ctime>
#include <fstream>
#include <mutex>
#include <utility>

#include <gmock/gmock.h>

#include "controlplane/observe/health/http_dialogue.h"
#include "tests/unit/controlplane/probe_test.h"
#include "tests/unit/controlplane/scripted_server.h"

namespace fairlead {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

constexpr milliseconds kShortTimeout{300};
constexpr size_t kMaxBody = 64 * 1024;

// The outcome of a dialogue that receives `bytes` in pieces of this size, and then the end.
std::string JudgeHttp(const std::string& check, const std::string& bytes, size_t piece) {
  const HealthCheck parsed =
      ParseServiceSpec(R"({"name": "web", "frontends": ["203.0.113.1:80/tcp"], "health_check": )" +
                       check + "}")
          .health_check;
  const IpAddress address = IpAddress::Parse("10.0.0.1").value();
  HttpDialogue dialogue(ReadHttpSettings(*parsed.type, parsed.settings, address, 80));
  for (size_t at = 0; at < bytes.size() && !dialogue.answer(); at += piece) {
    dialogue.Receive(std::string_view(bytes).substr(at, piece));
  }
  if (!dialogue.answer()) dialogue.ReceiveEnd();
  const ProbeAnswer answer = dialogue.answer().value();
  if (answer.outcome == CheckOutcome::kPassed) return "passed";
  return parsed.type->failure_text({answer.detail, parsed.settings, address});
}

struct HttpAnswer {
  std::string check;
  std::string bytes;
  std::string outcome;
};

TEST(HttpDialogue, JudgesAnswersInPiecesOfAnySize) {
  const std::string large(kMaxBody - 2, 'x');
  std::string many_fields;
  for (int i = 0; i < 2000; ++i) many_fields += "Field: value\r\n";
  const HttpAnswer answers[] = {
      {R"({"type": "http"})", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "passed"},
      {R"({"type": "http"})", "HTTP/1.0 204 No Content\r\n\r\n", "passed"},
      {R"({"type": "http"})", "HTTP/1.1 200 OK\r\n\r\nuntil the end", "passed"},
      {R"({"type": "http", "codes": "201"})", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
       "HTTP status 200 is not in codes"},
      {R"({"type": "http"})", "HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n",
       "HTTP status 503 is not in codes"},
      {R"({"type": "http", "codes": "200"})",
       "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
       "HTTP status 302 is not in codes; redirects are not followed"},
      {R"({"type": "http"})",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
       "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
       "HTTP status 500 is not in codes"},
      {R"({"type": "http", "match": "all good"})",
       "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall good", "passed"},
      {R"({"type": "http", "match": "a.l"})",
       "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall good",
       "the body does not hold the text of match"},
      {R"({"type": "http", "match": "good"})", "HTTP/1.1 200 good\r\nX: good\r\n\r\n",
       "the body does not hold the text of match"},
      {R"({"type": "http", "match": "split"})",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nspl\r\n2;x=y\r\nit\r\n0\r\n\r\n",
       "passed"},
      {R"({"type": "http"})", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "passed"},
      {R"({"type": "http"})",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", "passed"},
      {R"({"type": "http"})", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\n\r\n",
       "the server closed the connection before its answer was complete"},
      {R"({"type": "http", "match": "yz"})", "HTTP/1.1 200 OK\r\n\r\n" + large + "yz" + large,
       "passed"},
      {R"({"type": "http", "match": "yz"})", "HTTP/1.1 200 OK\r\n\r\n" + large + "?yz" + large,
       "the body does not hold the text of match"},
      {R"({"type": "http", "match": "x"})", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
       "the body does not hold the text of match"},
      {R"({"type": "http", "method": "HEAD"})", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
       "passed"},
      {R"({"type": "http"})", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
       "the server closed the connection before its answer was complete"},
      {R"({"type": "http"})", "",
       "the server closed the connection before its answer was complete"},
      {R"({"type": "http"})", "HTTP/1.1 103 Early\r\n\r\n",
       "the server closed the connection before its answer was complete"},
      {R"({"type": "http"})", "HTTP/1.1 200 OK\r\nContent-",
       "the server closed the connection before its answer was complete"},
      {R"({"type": "http"})", "SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP/1"},
      {R"({"type": "http"})", std::string("\x16\x03\x01\0\x05hello", 10),
       "the answer is not HTTP/1"},
      {R"({"type": "http"})", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       "the answer is not HTTP/1"},
      {R"({"type": "http"})", "HTTP/1.1 200 OK\r\nX: " + std::string(17 * 1024, 'x') + "\r\n\r\n",
       "the header of the answer is longer than 16 KiB"},
      {R"({"type": "http"})", "HTTP/1.1 200 OK\r\n" + many_fields + "\r\n",
       "the header of the answer is longer than 16 KiB"},
      {R"({"type": "http"})", "HTTP/1.1 200 OK\r\nX: " + std::string(15 * 1024, 'x') + "\r\n\r\n",
       "passed"},
      {R"({"type": "http"})",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(40 * 1024, 'x') +
           "\r\ny\r\n0\r\n\r\n",
       "the answer is longer than a check reads"},
  };
  for (const HttpAnswer& each : answers) {
    for (const size_t piece : {size_t{1}, size_t{3}, size_t{7}, size_t{1460}, size_t{8192}}) {
      EXPECT_EQ(JudgeHttp(each.check, each.bytes, piece), each.outcome)
          << each.check << " " << each.bytes.substr(0, 100) << " in pieces of " << piece;
    }
  }
}

TEST(HttpDialogue, EndsWithInterimAnswersThatNeverEnd) {
  HttpDialogue dialogue(
      ReadHttpSettings(kHttpCheck, DefaultCheckSettings(kHttpCheck), IpAddress(), 80));
  size_t count = 0;
  for (; count < 1'000'000 && !dialogue.answer(); ++count) {
    dialogue.Receive("HTTP/1.1 103 Early Hints\r\n\r\n");
  }
  ASSERT_TRUE(dialogue.answer());
  EXPECT_EQ(KindOfFailure(dialogue.answer()->detail), CheckFailure::kTooLong);
}

class HttpCheckTest : public ProbeTest {
 protected:
  // The outcome with a server that answers each request with these bytes, and then waits.
  std::string WithAnswer(const std::string& check, const std::string& bytes) {
    ScriptedServer server([&](ServerSocket& socket) {
      const std::string request = ReadHeader(socket);
      const std::lock_guard lock(mutex_);
      request_ = request;
      Send(socket, bytes);
      AwaitEnd(socket);
    });
    return Outcome(check, server.port());
  }

  std::mutex mutex_;
  std::string request_;  // of the last answer
};

TEST_F(HttpCheckTest, SendsItsSettingsInTheRequest) {
  EXPECT_EQ(WithAnswer(R"({"type": "http", "path": "/up?a=b", "host": "shop.example"})",
                       "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            "passed");
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(request_,
            "GET /up?a=b HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: fairlead\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n");
}

TEST_F(HttpCheckTest, RedirectsAreNotFollowed) {
  std::atomic<int> requests = 0;
  ScriptedServer server([&](ServerSocket& socket) {
    if (!ReadHeader(socket).empty()) ++requests;
    Send(socket, "HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
    AwaitEnd(socket);
  });
  EXPECT_EQ(Outcome(R"({"type": "http"})", server.port()), "passed");
  EXPECT_EQ(Outcome(R"({"type": "http", "codes": "200"})", server.port()),
            "HTTP status 301 is not in codes; redirects are not followed");
  EXPECT_EQ(requests, 2);
}

TEST_F(HttpCheckTest, ServersThatNeverEndFailAtTheTimeout) {
  ScriptedServer silent([](ServerSocket& socket) { AwaitEnd(socket); });
  EXPECT_EQ(Outcome(R"({"type": "http"})", silent.port(), kShortTimeout), "timed out");
  // A byte at a time, of a header that never ends, and of a body.
  for (const char* start : {"HTTP/1.1 200 OK\r\nX: ", "HTTP/1.1 200 OK\r\n\r\n"}) {
    ScriptedServer dripping([&](ServerSocket& socket) {
      if (!Send(socket, start)) return;
      while (Send(socket, "x")) std::this_thread::sleep_for(milliseconds(10));
    });
    EXPECT_EQ(Outcome(R"({"type": "http"})", dripping.port(), kShortTimeout), "timed out");
  }
}

TEST_F(HttpCheckTest, AnEndlessBodyIsReadUpToItsLimit) {
  ScriptedServer endless([](ServerSocket& socket) {
    ReadHeader(socket);
    if (!Send(socket, "HTTP/1.1 200 OK\r\n\r\n")) return;
    while (Send(socket, std::string(4096, 'x'))) continue;
  });
  EXPECT_EQ(Outcome(R"({"type": "http"})", endless.port()), "passed");
  EXPECT_EQ(Outcome(R"({"type": "http", "match": "y"})", endless.port()),
            "the body does not hold the text of match");
}

TEST_F(HttpCheckTest, ConnectionsThatCloseOrResetFail) {
  ScriptedServer closing([](ServerSocket& socket) { ReadHeader(socket); });
  EXPECT_EQ(Outcome(R"({"type": "http"})", closing.port()),
            "the server closed the connection before its answer was complete");
  ScriptedServer resetting([](ServerSocket& socket) {
    ReadHeader(socket);
    socket.set_option(boost::asio::socket_base::linger(true, 0));
    socket.close();
  });
  EXPECT_EQ(Outcome(R"({"type": "http"})", resetting.port()), "Connection reset by peer");
  uint16_t free_port = 0;
  {
    const ScriptedServer gone([](ServerSocket&) {});
    free_port = gone.port();
  }
  EXPECT_EQ(Outcome(R"({"type": "http"})", free_port), "Connection refused");
}

class HttpsCheckTest : public ProbeTest {
 protected:
  // A server with this certificate that answers 200.
  static std::function<void(ServerSocket&)> Answering(const TestTls& tls) {
    return OverTls(tls, [](ServerTlsStream& stream) {
      ReadHeader(stream);
      Send(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      AwaitEnd(stream);
    });
  }
  std::string WithTls(const TestTls& tls, const std::string& settings) {
    ScriptedServer server(Answering(tls));
    return Outcome(Check(settings), server.port());
  }
  std::string Check(const std::string& settings) {
    return R"({"type": "https", "match": "ok", "tls": {"ca_file": ")" + ca_file_ + "\"" + settings +
           "}}";
  }
  static void Write(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
  }

  TempDir directory_;
  std::string ca_file_ = directory_.File("ca.pem");
  TestIdentity ca_ = IssueCertificate({.common_name = "Test CA", .is_ca = true}, nullptr);
  TestIdentity good_ = IssueCertificate(
      {.common_name = "shop", .alternative_names = "DNS:shop.example,IP:127.0.0.1"}, &ca_);

  void SetUp() override { Write(ca_file_, ca_.Pem()); }
};

TEST_F(HttpsCheckTest, ChecksChainAndName) {
  EXPECT_EQ(WithTls({good_}, ""), "passed") << "the name is the address";
  EXPECT_EQ(WithTls({good_}, R"(, "sni": "shop.example")"), "passed");
  EXPECT_EQ(WithTls({good_}, R"(, "sni": "other.example")"),
            "the certificate of other.example is refused at depth 0: hostname mismatch");
  EXPECT_EQ(WithTls({good_}, R"(, "sni": "other.example", "verify": "chain")"), "passed");
  const TestIdentity other =
      IssueCertificate({.common_name = "x", .alternative_names = "IP:127.0.0.2"}, &ca_);
  EXPECT_EQ(WithTls({other}, ""),
            "the certificate of 127.0.0.1 is refused at depth 0: IP address mismatch");
}

TEST_F(HttpsCheckTest, RefusesChainsThatItDoesNotTrust) {
  const TestIdentity self_signed =
      IssueCertificate({.common_name = "x", .alternative_names = "IP:127.0.0.1"}, nullptr);
  EXPECT_EQ(WithTls({self_signed}, ""),
            "the certificate of 127.0.0.1 is refused at depth 0: self-signed certificate");
  EXPECT_EQ(WithTls({self_signed}, R"(, "verify": "chain")"),
            "the certificate of 127.0.0.1 is refused at depth 0: self-signed certificate");
  EXPECT_EQ(WithTls({self_signed}, R"(, "verify": "none")"), "passed");
  // Without ca_file, the system's certificates count.
  ScriptedServer server(Answering({good_}));
  EXPECT_EQ(Outcome(R"({"type": "https"})", server.port()),
            "the certificate of 127.0.0.1 is refused at depth 0: unable to get local issuer "
            "certificate");
}

TEST_F(HttpsCheckTest, TheFileMayHoldTheServersOwnCertificate) {
  Write(ca_file_, good_.Pem());
  EXPECT_EQ(WithTls({good_}, ""), "passed");
}

TEST_F(HttpsCheckTest, RefusesExpiredCertificatesUnlessNothingIsVerified) {
  const TestIdentity expired = IssueCertificate(
      {.common_name = "x", .alternative_names = "IP:127.0.0.1", .ends_in_s = -60}, &ca_);
  for (const char* settings : {"", R"(, "verify": "chain")"}) {
    EXPECT_EQ(WithTls({expired}, settings),
              "the certificate of 127.0.0.1 is refused at depth 0: certificate has expired");
  }
  EXPECT_EQ(WithTls({expired}, R"(, "verify": "none")"), "passed");
  const TestIdentity old_ca =
      IssueCertificate({.common_name = "Old CA", .ends_in_s = -60, .is_ca = true}, nullptr);
  const TestIdentity of_old_ca =
      IssueCertificate({.common_name = "x", .alternative_names = "IP:127.0.0.1"}, &old_ca);
  ca_file_ = directory_.File("old-ca.pem");
  Write(ca_file_, old_ca.Pem());
  EXPECT_EQ(WithTls({of_old_ca}, ""),
            "the certificate of 127.0.0.1 is refused at depth 1: certificate has expired");
}

TEST_F(HttpsCheckTest, LearnsWhenTheCertificateEnds) {
  const auto ends_in = [&](const TestIdentity& identity, const std::string& settings) {
    ScriptedServer server(Answering({identity}));
    const ProbeAnswer answer = Probe(Check(settings), server.port());
    return answer.certificate_not_after_s.value_or(0) - std::time(nullptr);
  };
  EXPECT_NEAR(static_cast<double>(ends_in(good_, "")), 3600, 30);
  EXPECT_NEAR(static_cast<double>(ends_in(good_, R"(, "verify": "none")")), 3600, 30);
  const TestIdentity expired = IssueCertificate({.common_name = "x", .ends_in_s = -60}, &ca_);
  EXPECT_NEAR(static_cast<double>(ends_in(expired, "")), -60, 30) << "though it is refused";
}

TEST_F(HttpsCheckTest, NeedsTls12) {
  const std::string old =
      WithTls({.identity = good_, .min_version = TLS1_VERSION, .max_version = TLS1_1_VERSION}, "");
  EXPECT_THAT(old, StartsWith("the TLS handshake with 127.0.0.1 failed: "));
  EXPECT_THAT(old, HasSubstr("protocol"));
  EXPECT_EQ(WithTls({.identity = good_, .max_version = TLS1_2_VERSION}, ""), "passed");
}

TEST_F(HttpsCheckTest, ServersWithoutTlsFail) {
  ScriptedServer plain([](ServerSocket& socket) {
    Send(socket, "HTTP/1.1 400 Bad Request\r\n\r\n");
    AwaitEnd(socket);
  });
  EXPECT_EQ(Outcome(Check(""), plain.port()),
            "the TLS handshake with 127.0.0.1 failed: wrong version number");
  ScriptedServer closing([](ServerSocket&) {});
  EXPECT_THAT(Outcome(Check(""), closing.port()),
              testing::AnyOf("the server closed the connection before its answer was complete",
                             "Connection reset by peer"));
  ScriptedServer silent([](ServerSocket& socket) { AwaitEnd(socket); });
  EXPECT_EQ(Outcome(Check(""), silent.port(), kShortTimeout), "timed out");
}

TEST_F(HttpsCheckTest, ResumesSessionsOfTheSameServerAndSettings) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    std::atomic<int> resumed = 0;
    std::atomic<int> connections = 0;
    ScriptedServer server(
        OverTls({.identity = good_, .max_version = version}, [&](ServerTlsStream& stream) {
          ++connections;
          resumed += SSL_session_reused(stream.native_handle());
          ReadHeader(stream);
          Send(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
          AwaitEnd(stream);
        }));
    for (int i = 0; i < 3; ++i) {
      const ProbeAnswer answer = Probe(Check(""), server.port());
      EXPECT_EQ(answer.outcome, CheckOutcome::kPassed);
      EXPECT_TRUE(answer.certificate_not_after_s) << "also if it is resumed";
    }
    EXPECT_EQ(resumed, 2) << version;
    // Another name is verified, whatever was verified before.
    EXPECT_EQ(Outcome(Check(R"(, "sni": "other.example")"), server.port()),
              "the certificate of other.example is refused at depth 0: hostname mismatch");
    EXPECT_EQ(Outcome(Check(R"(, "verify": "none")"), server.port()), "passed");
    EXPECT_EQ(resumed, 2);
    EXPECT_EQ(Outcome(Check(""), server.port()), "passed");
    EXPECT_EQ(resumed, 3);
  }
}

TEST_F(HttpsCheckTest, IsNotMadeWithoutItsCaFile) {
  ScriptedServer server(Answering({good_}));
  ca_file_ = directory_.File("gone.pem");
  EXPECT_THAT(Outcome(Check(""), server.port()),
              HasSubstr("gone.pem cannot be read: No such file or directory"));
  EXPECT_EQ(Outcome(Check(R"(, "verify": "none")"), server.port()), "passed");
}

TEST_F(HttpsCheckTest, ReadsAChangedCaFileAgain) {
  ScriptedServer server(Answering({good_}));
  const TestIdentity other_ca = IssueCertificate({.common_name = "Other", .is_ca = true}, nullptr);
  Write(ca_file_, other_ca.Pem());
  EXPECT_THAT(Outcome(Check(""), server.port()), HasSubstr("unable to get local issuer"));
  Write(ca_file_, ca_.Pem());
  const auto becomes = [&](const std::string& outcome) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < limit) {
      if (Outcome(Check(""), server.port()) == outcome) return true;
      std::this_thread::sleep_for(milliseconds(50));
    }
    return false;
  };
  EXPECT_TRUE(becomes("passed"));
  // A damaged file keeps the old content.
  Write(ca_file_, "nothing");
  std::this_thread::sleep_for(milliseconds(1500));
  EXPECT_EQ(Outcome(Check(""), server.port()), "passed");
}

}  // namespace
}  // namespace fairlead
