// Clients that send too much, too slowly, or malformed requests. Each gets a 4xx or is closed, and
// all other clients are served.
#include <unistd.h>

#include <gmock/gmock.h>

#include "controlplane/common/log.h"
#include "tests/unit/controlplane/http_client.h"
#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// A request without its two bytes of body. After the reply 100, the server is busy with the
// request.
constexpr char kBodyToCome[] =
    "POST /v1/explain HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";

class HttpTest : public testing::Test {
 protected:
  void Start(HttpLimits limits = {}) {
    ASSERT_TRUE(ConfigureLog("text", "off").ok());
    DaemonOptions options;
    options.socket_path = socket_;
    options.store_path = directory_.File("store.db");
    options.link_path = directory_.File("dataplane.sock");
    options.follow_neighbours = false;
    options.http = limits;
    daemon_ = std::make_unique<RunningDaemon>(options);
    ASSERT_TRUE(daemon_->start_status().ok()) << daemon_->start_status().message();
  }
  Answer Raw(const std::string& bytes) {
    HttpConnection connection(socket_);
    connection.Send(bytes);
    return connection.Receive();
  }
  void ExpectServed() { EXPECT_EQ(Ask(socket_, "GET", "/v1/status").status, 200); }

  TempDir directory_;
  std::string socket_ = directory_.File("control.sock");
  std::unique_ptr<RunningDaemon> daemon_;
};

TEST_F(HttpTest, KeepsTheConnectionAlive) {
  Start();
  HttpConnection connection(socket_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(connection.Send(RequestText("GET", "/v1/status")));
    EXPECT_EQ(connection.Receive().status, 200);
  }
  ASSERT_TRUE(connection.Send("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  EXPECT_EQ(connection.Receive().status, 200);
  EXPECT_TRUE(connection.WaitForClose());
}

TEST_F(HttpTest, AnswersPipelinedRequestsInOrder) {
  Start();
  HttpConnection connection(socket_);
  ASSERT_TRUE(connection.Send(RequestText("GET", "/v1/status") + RequestText("GET", "/nothing") +
                              RequestText("POST", "/v1/services", "{") +
                              RequestText("GET", "/v1/stats")));
  for (const int status : {200, 404, 400, 200}) EXPECT_EQ(connection.Receive().status, status);
}

TEST_F(HttpTest, ReadsARequestSentByteByByte) {
  Start();
  HttpConnection connection(socket_);
  for (const char c : RequestText("POST", "/v1/explain", "{}")) {
    ASSERT_TRUE(connection.Send(std::string(1, c)));
  }
  EXPECT_EQ(connection.Receive().status, 400);
}

TEST_F(HttpTest, AnswersExpectContinueAndReadsTheBody) {
  Start();
  HttpConnection connection(socket_);
  ASSERT_TRUE(
      connection.Send("POST /v1/explain HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                      "Content-Length: 2\r\n\r\n"));
  EXPECT_EQ(connection.Receive().status, 100);
  ASSERT_TRUE(connection.Send("{}"));
  EXPECT_EQ(connection.Receive().status, 400);
}

TEST_F(HttpTest, RejectsMalformedRequests) {
  Start();
  for (const std::string& bytes :
       {std::string("hello\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("GET /\r\n\r\n"), std::string("GET / HTTP/1.1\r\nbroken header\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
        std::string("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        std::string("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        std::string(64, '\0') + "\r\n\r\n"}) {
    const Answer answer = Raw(bytes);
    EXPECT_EQ(answer.status, 400) << bytes;
    EXPECT_EQ(answer.json()["error"]["code"], "invalid_argument") << bytes;
  }
  ExpectServed();
}

TEST_F(HttpTest, RefusesAnOversizedHeader) {
  Start();
  const std::string huge(32 * 1024, 'x');
  EXPECT_EQ(Raw("GET /v1/status HTTP/1.1\r\nX: " + huge + "\r\n\r\n").status, 431);
  EXPECT_EQ(Raw("GET /" + huge + " HTTP/1.1\r\n\r\n").status, 431);
  ExpectServed();
}

TEST_F(HttpTest, RefusesAnOversizedBodyBeforeItIsSent) {
  Start();
  EXPECT_EQ(Raw("POST /v1/services HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n").status, 413);
  ExpectServed();
}

TEST_F(HttpTest, RefusesAnOversizedBodyThatIsSentAnyway) {
  Start();
  const std::string body(2 << 20, ' ');
  EXPECT_EQ(Raw("POST /v1/services HTTP/1.1\r\nContent-Length: 2097152\r\n\r\n" + body).status,
            413);
  EXPECT_EQ(Raw("POST /v1/services HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" +
                body + "\r\n0\r\n\r\n")
                .status,
            413);
  ExpectServed();
}

TEST_F(HttpTest, ReadsABodyOfTheLargestSize) {
  Start();
  const Answer answer = Ask(socket_, "POST", "/v1/services", std::string(1 << 20, ' '));
  EXPECT_EQ(answer.status, 400) << "the body must be read, although it is not JSON";
}

TEST_F(HttpTest, ClosesSlowClientsAndServesOthers) {
  HttpLimits limits;
  limits.request = milliseconds(1000);  // also for the clients that must be served
  Start(limits);
  HttpConnection in_header(socket_);
  HttpConnection in_body(socket_);
  ASSERT_TRUE(in_header.Send("GET /v1/sta"));
  ASSERT_TRUE(in_body.Send("POST /v1/services HTTP/1.1\r\nContent-Length: 10\r\n\r\n{"));
  ExpectServed();
  EXPECT_TRUE(in_header.WaitForClose());
  EXPECT_TRUE(in_body.WaitForClose());
}

TEST_F(HttpTest, ClosesIdleConnections) {
  HttpLimits limits;
  limits.idle = milliseconds(50);
  Start(limits);
  HttpConnection connection(socket_);
  EXPECT_TRUE(connection.WaitForClose());
}

TEST_F(HttpTest, ClosesAClientThatDoesNotReadItsReplies) {
  HttpLimits limits;
  limits.reply = milliseconds(200);
  Start(limits);
  HttpConnection not_reading(socket_);
  std::string requests;
  for (int i = 0; i < 100; ++i) requests += RequestText("GET", "/metrics");
  bool open = true;
  for (int i = 0; i < 1000 && open; ++i) open = not_reading.Send(requests);
  EXPECT_FALSE(open);
  ExpectServed();
}

TEST_F(HttpTest, NewConnectionReplacesTheOneIdleForLongest) {
  HttpLimits limits;
  limits.connections = 3;
  Start(limits);
  std::vector<std::unique_ptr<HttpConnection>> idle;
  for (int i = 0; i < 3; ++i) {
    idle.push_back(std::make_unique<HttpConnection>(socket_));
    ASSERT_TRUE(idle.back()->Send(RequestText("GET", "/v1/status")));
    ASSERT_EQ(idle.back()->Receive().status, 200);
  }
  ExpectServed();
  EXPECT_TRUE(idle[0]->WaitForClose());
  ASSERT_TRUE(idle[2]->Send(RequestText("GET", "/v1/status")));
  EXPECT_EQ(idle[2]->Receive().status, 200);
}

TEST_F(HttpTest, TooManyBusyConnectionsGet503) {
  HttpLimits limits;
  limits.connections = 2;
  Start(limits);
  HttpConnection one(socket_);
  HttpConnection two(socket_);
  for (HttpConnection* busy : {&one, &two}) {
    ASSERT_TRUE(busy->Send(kBodyToCome));
    ASSERT_EQ(busy->Receive().status, 100);
  }
  const Answer answer = Ask(socket_, "GET", "/v1/status");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.json()["error"]["code"], "unavailable");
  for (HttpConnection* busy : {&one, &two}) {
    ASSERT_TRUE(busy->Send("{}"));
    EXPECT_EQ(busy->Receive().status, 400) << "a busy connection must not be closed";
  }
}

TEST_F(HttpTest, ClosesFileDescriptorsThatAClientSends) {
  Start();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  UniqueFd reader(ends[0]);
  HttpConnection connection(socket_);
  {
    UniqueFd writer(ends[1]);
    ASSERT_TRUE(connection.SendWithFileDescriptor(RequestText("GET", "/v1/status"), writer.get()));
  }
  EXPECT_EQ(connection.Receive().status, 200);
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0) << "fairleadd did not close the file descriptor";
}

TEST_F(HttpTest, StopFinishesTheReplyInProgress) {
  Start();
  HttpConnection connection(socket_);
  ASSERT_TRUE(connection.Send(kBodyToCome));
  ASSERT_EQ(connection.Receive().status, 100);
  std::thread stopper([this] { daemon_->Stop(); });
  while (HttpConnection(socket_).connected()) std::this_thread::yield();
  ASSERT_TRUE(connection.Send("{}"));
  EXPECT_EQ(connection.Receive().status, 400);
  EXPECT_TRUE(connection.WaitForClose());
  stopper.join();
}

}  // namespace
}  // namespace fairlead
