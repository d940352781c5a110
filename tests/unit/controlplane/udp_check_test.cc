// The probe of udp.
#include <mutex>
#include <string>
#include <thread>

#include <boost/asio/ip/udp.hpp>
#include <gmock/gmock.h>

#include "tests/unit/controlplane/probe_test.h"

namespace fairlead {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

// Answers each datagram with `reply`; empty: with nothing.
class UdpServer {
 public:
  explicit UdpServer(std::string reply)
      : reply_(std::move(reply)), socket_(context_, {asio::ip::address_v4::loopback(), 0}) {
    Receive();
    thread_ = std::thread([this] { context_.run(); });
  }
  ~UdpServer() {
    context_.stop();
    thread_.join();
  }
  uint16_t port() const { return socket_.local_endpoint().port(); }
  std::string request() {
    const std::lock_guard lock(mutex_);
    return request_;
  }

 private:
  void Receive() {
    socket_.async_receive_from(asio::buffer(bytes_), client_,
                               [this](const boost::system::error_code& error, size_t length) {
                                 if (error) return;
                                 {
                                   const std::lock_guard lock(mutex_);
                                   request_.assign(bytes_, length);
                                 }
                                 if (!reply_.empty())
                                   socket_.send_to(asio::buffer(reply_), client_);
                                 Receive();
                               });
  }

  std::string reply_;
  asio::io_context context_;
  asio::ip::udp::socket socket_;
  asio::ip::udp::endpoint client_;
  char bytes_[1024] = {};
  std::mutex mutex_;
  std::string request_;
  std::thread thread_;
};

using UdpCheckTest = ProbeTest;

TEST_F(UdpCheckTest, PassesWithAnyReply) {
  UdpServer server("anything");
  EXPECT_EQ(Outcome(R"({"type": "udp", "send": "hex:00ff"})", server.port()), "passed");
  EXPECT_EQ(server.request(), std::string("\x00\xff", 2));
}

TEST_F(UdpCheckTest, ComparesTheReplyWhole) {
  UdpServer server("pong");
  EXPECT_EQ(Outcome(R"({"type": "udp", "send": "x", "reply": "pong"})", server.port()), "passed");
  EXPECT_EQ(Outcome(R"({"type": "udp", "send": "x", "reply": "hex:706f6e67"})", server.port()),
            "passed");
  for (const char* reply : {"pon", "pong!", "Pong"}) {
    EXPECT_EQ(Outcome(R"({"type": "udp", "send": "x", "reply": ")" + std::string(reply) + "\"}",
                      server.port()),
              "a reply of 4 bytes is not equal to reply");
  }
}

TEST_F(UdpCheckTest, AReplyThatIsLongerThanTheLimitIsNotEqual) {
  UdpServer server(std::string(513, 'x'));
  const std::string longest(512, 'x');
  EXPECT_EQ(Outcome(R"({"type": "udp", "send": "x", "reply": ")" + longest + "\"}", server.port()),
            "a reply of 513 bytes is not equal to reply");
  EXPECT_EQ(Outcome(R"({"type": "udp", "send": "x"})", server.port()), "passed");
}

TEST_F(UdpCheckTest, NoReplyTimesOut) {
  UdpServer server("");
  EXPECT_EQ(Outcome(R"({"type": "udp", "send": "x"})", server.port(), milliseconds(200)),
            "timed out");
}

TEST_F(UdpCheckTest, AnUnreachablePortFailsAtOnce) {
  uint16_t free_port = 0;
  {
    const UdpServer gone("");
    free_port = gone.port();
  }
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(Outcome(R"({"type": "udp", "send": "x"})", free_port), "Connection refused");
  EXPECT_LT(std::chrono::steady_clock::now() - before, kPatientTimeout);
}

}  // namespace
}  // namespace fairlead
