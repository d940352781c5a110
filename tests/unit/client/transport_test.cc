// Sends requests over a real Unix socket.
#include "controlplane/client/transport.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace fairlead {
namespace {

using std::chrono::milliseconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr milliseconds kTimeout{10'000};

class UnixTransport : public ::testing::Test {
 protected:
  UnixTransport() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "fairlead-client-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ + "/control.sock";
  }
  ~UnixTransport() override {
    if (listener_ >= 0) close(listener_);
    std::filesystem::remove_all(folder_);
  }

  void Listen() {
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(listen(listener_, 1), 0);
  }

  // Accepts one connection, reads up to the end of `until`, answers and closes. Returns what it
  // read.
  std::string ServeOnce(const std::string& until, const std::string& answer) const {
    const int peer = accept(listener_, nullptr, nullptr);
    std::string request;
    char byte = 0;
    while (!request.ends_with(until) && read(peer, &byte, 1) == 1) request += byte;
    EXPECT_EQ(write(peer, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
    close(peer);
    return request;
  }

  Result<ControlReply> Get(milliseconds timeout = kTimeout) const {
    return MakeUnixTransport(path_, timeout)->Send("GET", "/v1/status", "");
  }

  std::string folder_;
  std::string path_;
  int listener_ = -1;
};

TEST_F(UnixTransport, SendsOneRequestAndReadsTheReply) {
  Listen();
  std::string request;
  std::thread server([&] {
    request = ServeOnce("{\"a\":1}", "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}");
  });
  const Result<ControlReply> reply =
      MakeUnixTransport(path_, kTimeout)->Send("POST", "/v1/services", "{\"a\":1}");
  server.join();
  ASSERT_TRUE(reply.ok()) << reply.status().message();
  EXPECT_EQ(reply->status, 201U);
  EXPECT_EQ(reply->body, "{}");
  EXPECT_THAT(request, StartsWith("POST /v1/services HTTP/1.1\r\nHost: fairlead\r\n"));
  EXPECT_THAT(request, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(request, EndsWith("Content-Length: 7\r\n\r\n{\"a\":1}"));
}

TEST_F(UnixTransport, ReadsAReplyWithoutABody) {
  Listen();
  std::thread server([&] {
    ServeOnce("\r\n\r\n",
              "HTTP/1.1 204 No Content\r\nFairlead-Generation: 7\r\n"
              "Fairlead-In-Force: true\r\n\r\n");
  });
  const Result<ControlReply> reply = Get();
  server.join();
  ASSERT_TRUE(reply.ok()) << reply.status().message();
  EXPECT_EQ(reply->status, 204U);
  EXPECT_EQ(reply->generation, "7");
  EXPECT_EQ(reply->in_force, "true");
  EXPECT_EQ(reply->body, "");
}

TEST_F(UnixTransport, SaysHowToStartFairleadd) {
  const Status status = Get().status();
  EXPECT_EQ(status.code(), ErrorCode::kUnavailable);
  EXPECT_EQ(status.message(), "fairleadd is not running (" + path_ +
                                  ": no such file); start it with: fairleadd --socket " + path_);
}

TEST_F(UnixTransport, StartsFairleaddWithSystemdIfItHasTheUnit) {
  EXPECT_EQ(StartCommand(folder_), "fairleadd");
  std::filesystem::create_directories(folder_ + "/usr/lib/systemd/system");
  std::ofstream(folder_ + "/usr/lib/systemd/system/fairleadd.service") << "[Unit]\n";
  EXPECT_EQ(StartCommand(folder_), "fairleadd") << "another init runs";
  std::filesystem::create_directories(folder_ + "/run/systemd/system");
  EXPECT_EQ(StartCommand(folder_), "systemctl start fairleadd");
}

TEST_F(UnixTransport, DistinguishesAStaleSocketFromAMissingOne) {
  Listen();
  close(listener_);
  listener_ = -1;
  EXPECT_THAT(Get().status().message(), HasSubstr("no process listens on this socket"));
}

TEST_F(UnixTransport, TimesOutWhenNoAnswerComes) {
  Listen();  // the kernel accepts the connection, but no process reads from it
  const Status status = Get(milliseconds(50)).status();
  EXPECT_EQ(status.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("did not answer within 50 ms"));
}

TEST_F(UnixTransport, RejectsATruncatedReply) {
  Listen();
  std::thread server(
      [&] { ServeOnce("\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"); });
  const Status status = Get().status();
  server.join();
  EXPECT_EQ(status.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("the connection to fairleadd failed"));
}

TEST_F(UnixTransport, RejectsAReplyThatIsNotHttp) {
  Listen();
  std::thread server([&] { ServeOnce("\r\n\r\n", "220 mail.example ESMTP\r\n\r\n"); });
  EXPECT_FALSE(Get().ok());
  server.join();
}

TEST_F(UnixTransport, RejectsAPathThatIsTooLongForASocket) {
  const Status status = MakeUnixTransport("/" + std::string(200, 'x'), kTimeout)
                            ->Send("GET", "/v1/status", "")
                            .status();
  EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("longer than 107 bytes"));
}

TEST_F(UnixTransport, FollowsAStreamLineByLine) {
  Listen();
  std::string request;
  std::thread server([&] {
    request = ServeOnce("\r\n\r\n",
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "6\r\none\ntw\r\n7\r\no\nthree\r\n1\r\n\n\r\n0\r\n\r\n");
  });
  std::vector<std::string> lines;
  const Result<ControlReply> reply =
      MakeUnixTransport(path_, kTimeout)->Follow("/v1/watch", "42", [&](const std::string& line) {
        lines.push_back(line);
        return true;
      });
  server.join();
  ASSERT_TRUE(reply.ok()) << reply.status().message();
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_THAT(request, HasSubstr("Fairlead-From: 42\r\n"));
}

TEST_F(UnixTransport, EndsAStreamWhenTheCallbackReturnsFalse) {
  Listen();
  std::thread server([&] {
    ServeOnce("\r\n\r\n",
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\none\ntwo\n\r\n");
  });
  std::vector<std::string> lines;
  const Result<ControlReply> reply =
      MakeUnixTransport(path_, kTimeout)->Follow("/v1/watch", "", [&](const std::string& line) {
        lines.push_back(line);
        return false;
      });
  server.join();
  EXPECT_TRUE(reply.ok()) << reply.status().message();
  EXPECT_EQ(lines, std::vector<std::string>{"one"});
}

TEST_F(UnixTransport, EndsAStreamThatIsSilentForTooLong) {
  Listen();
  std::thread server([&] {
    const int peer = accept(listener_, nullptr, nullptr);
    const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n";
    EXPECT_EQ(write(peer, head.data(), head.size()), static_cast<ssize_t>(head.size()));
    char byte = 0;
    while (read(peer, &byte, 1) > 0) continue;  // until the client closes
    close(peer);
  });
  std::vector<std::string> lines;
  const Result<ControlReply> reply = MakeUnixTransport(path_, kTimeout, milliseconds(100))
                                         ->Follow("/v1/watch", "", [&](const std::string& line) {
                                           lines.push_back(line);
                                           return true;
                                         });
  server.join();
  EXPECT_EQ(lines, std::vector<std::string>{"one"});
  EXPECT_EQ(reply.status().code(), ErrorCode::kUnavailable);
  EXPECT_THAT(reply.status().message(), StartsWith("fairleadd sent nothing for 100 ms"));
}

TEST_F(UnixTransport, ReturnsTheBodyWhenTheStreamIsRefused) {
  Listen();
  std::thread server(
      [&] { ServeOnce("\r\n\r\n", "HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\ngone"); });
  const Result<ControlReply> reply =
      MakeUnixTransport(path_, kTimeout)->Follow("/v1/watch", "1", [](const std::string&) {
        ADD_FAILURE() << "the body of an error is not a line of the stream";
        return true;
      });
  server.join();
  ASSERT_TRUE(reply.ok()) << reply.status().message();
  EXPECT_EQ(reply->status, 410U);
  EXPECT_EQ(reply->body, "gone");
}

}  // namespace
}  // namespace fairlead
