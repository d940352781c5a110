#include "dataplane/manage/link_server.h"

#include <fcntl.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/manage/fixture.h"
#include "tests/unit/no_free_file_descriptors.h"
#include "tests/unit/recorded.h"

namespace fairlead {
namespace {

using testing::Memfd;
using testing::TemporaryFolder;
using testing_recorded::Bytes;
using testing_recorded::Read;

// Answers with values that the tests recognise.
class FakeHandler final : public LinkHandler {
 public:
  HelloMessage Hello() override {
    HelloMessage hello;
    hello.instance = 16;
    hello.generation = 17;
    hello.snapshot_version = kSnapshotVersionOfClientHello;
    return hello;
  }
  PublishedMessage Publish(const PublishMessage& message, int fd) override {
    struct stat info = {};
    fstat(fd, &info);
    received_bytes = static_cast<uint64_t>(info.st_size);
    published.push_back(message.generation);
    PublishedMessage reply;
    reply.generation = message.generation;
    reply.in_force = true;
    return reply;
  }
  DataplaneStats stats;
  const DataplaneStats& Stats() override {
    stats.generation = 18;
    return stats;
  }
  FlowMessage FindFlow(const FindFlowMessage& message) override {
    FlowMessage flow;
    flow.found = message.tag == 7;
    return flow;
  }
  ProbesMessage OpenProbes(int fd) override {
    struct stat info = {};
    fstat(fd, &info);
    return {true, std::to_string(info.st_size)};
  }
  uint64_t received_bytes = 0;
  std::vector<uint64_t> published;
};

// A control plane that sends and receives one message at a time. Unix sockets deliver at once, so
// no call waits.
class Client {
 public:
  explicit Client(const std::string& path)
      : fd_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() {
    close(fd_);
    if (received_fd_ >= 0) close(received_fd_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }

  void SendBytes(std::span<const std::byte> bytes, const std::vector<int>& fds = {}) {
    iovec part = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 8)] = {};
    if (!fds.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
      std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
    }
    ASSERT_EQ(sendmsg(fd_, &message, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  void Send(uint32_t id, const LinkMessage& message, const std::vector<int>& fds = {}) {
    SendBytes(EncodeLinkMessage(id, message), fds);
  }

  // Returns the next message, or nullopt if there is none. received_fd() has its file descriptor,
  // if any.
  std::optional<DecodedMessage> Receive() {
    std::byte bytes[kMaxLinkMessageBytes];
    iovec part = {bytes, sizeof(bytes)};
    msghdr message = {};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t count = recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
    if (count <= 0) return std::nullopt;
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr) {
      std::memcpy(&received_fd_, CMSG_DATA(header), sizeof(received_fd_));
    }
    return DecodeLinkMessage({bytes, static_cast<size_t>(count)}).value();
  }
  // Receives statistics and returns their version. Returns 0 if another message comes.
  uint32_t ReceiveStatsVersion() {
    const std::optional<DecodedMessage> message = Receive();
    if (!message || !std::holds_alternative<StatsMessage>(message->message)) return 0;
    uint32_t version = 0;
    EXPECT_EQ(pread(received_fd_, &version, sizeof(version), 8),
              static_cast<ssize_t>(sizeof(version)));
    return version;
  }
  bool IsDisconnected() {
    char byte;
    return recv(fd_, &byte, 1, MSG_PEEK) == 0;
  }
  int received_fd() const { return received_fd_; }

 private:
  int fd_;
  bool connected_ = false;
  int received_fd_ = -1;
};

size_t OpenFileDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

class LinkServerTest : public ::testing::Test {
 protected:
  void Serve() { server_.Serve(&handler_); }

  TemporaryFolder folder_;
  std::string path_ = folder_ / "run/link.sock";
  FakeHandler handler_;
  LinkServer server_ = LinkServer::Listen(path_).value();
};

TEST_F(LinkServerTest, GreetsEachClient) {
  Client client(path_);
  ASSERT_TRUE(client.connected());
  Serve();
  const std::optional<DecodedMessage> hello = client.Receive();
  ASSERT_TRUE(hello);
  EXPECT_EQ(std::get<HelloMessage>(hello->message).generation, 17u);
}

TEST_F(LinkServerTest, GreetsInTheFirstVersionAndSwitchesAfterTheClientsHello) {
  Client client(path_);
  Serve();
  const std::optional<DecodedMessage> greeting = client.Receive();
  ASSERT_TRUE(greeting);
  EXPECT_EQ(greeting->version, kFirstLinkVersion);
  EXPECT_EQ(std::get<HelloMessage>(greeting->message).instance, 0u)
      << "the first version has no such field";
  client.Send(3, ClientHelloMessage{3, kStatsVersion, "0.2.0"});
  client.Send(4, GetStatsMessage{});
  Serve();
  const std::optional<DecodedMessage> hello = client.Receive();
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->id, 3u);
  EXPECT_EQ(hello->version, kLinkVersion);
  EXPECT_EQ(std::get<HelloMessage>(hello->message).instance, 16u);
  EXPECT_EQ(client.ReceiveStatsVersion(), kStatsVersion);
}

TEST_F(LinkServerTest, SendsStatisticsInAVersionThatTheClientReads) {
  handler_.stats.totals.drops[static_cast<size_t>(DropReason::k_hairpin)] = 3;
  for (const uint32_t version : {kFirstStatsVersion, kStatsVersion - 1, kStatsVersion + 1}) {
    Client client(path_);
    Serve();
    client.Receive();
    client.Send(1, ClientHelloMessage{3, version, ""});
    client.Send(2, GetStatsMessage{});
    Serve();
    client.Receive();
    EXPECT_EQ(client.ReceiveStatsVersion(),
              version >= kStatsVersion ? kStatsVersion : kFirstStatsVersion);
  }
}

// Sends the messages that fairleadd of release 0.1.0 sent.
TEST_F(LinkServerTest, AnswersAControlPlaneOfRelease010InItsVersion) {
  Client client(path_);
  Serve();
  EXPECT_EQ(client.Receive()->version, kFirstLinkVersion);
  const std::vector<std::byte> bytes = Bytes(Read("publish.body"));
  const Memfd image(bytes);
  client.SendBytes(Bytes(Read("publish.message")), {image.get()});
  client.SendBytes(Bytes(Read("get_stats.message")));
  client.SendBytes(Bytes(Read("find_flow.message")));
  Serve();
  EXPECT_EQ(client.ReceiveStatsVersion(), kFirstStatsVersion);
  const std::optional<DecodedMessage> flow = client.Receive();
  ASSERT_TRUE(flow);
  EXPECT_EQ(flow->version, kFirstLinkVersion);
  EXPECT_TRUE(std::holds_alternative<FlowMessage>(flow->message));
  const std::optional<DecodedMessage> published = client.Receive();
  ASSERT_TRUE(published);
  EXPECT_EQ(published->version, kFirstLinkVersion);
  EXPECT_TRUE(std::get<PublishedMessage>(published->message).in_force);
  EXPECT_EQ(handler_.received_bytes, bytes.size());
}

TEST_F(LinkServerTest, AnswersEachRequestWithItsId) {
  Client client(path_);
  Serve();
  client.Receive();
  client.Send(5, FindFlowMessage{.tag = 7, .buckets = 0, .service_id = 0});
  client.Send(6, FindFlowMessage{.tag = 8, .buckets = 0, .service_id = 0});
  client.Send(7, GetStatsMessage{});
  Serve();
  const std::optional<DecodedMessage> first = client.Receive();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->id, 5u);
  EXPECT_TRUE(std::get<FlowMessage>(first->message).found);
  const std::optional<DecodedMessage> second = client.Receive();
  ASSERT_TRUE(second);
  EXPECT_FALSE(std::get<FlowMessage>(second->message).found);
  const std::optional<DecodedMessage> third = client.Receive();
  ASSERT_TRUE(third);
  EXPECT_EQ(third->id, 7u);
  std::vector<std::byte> body(std::get<StatsMessage>(third->message).body_bytes);
  ASSERT_EQ(pread(client.received_fd(), body.data(), body.size(), 0),
            static_cast<ssize_t>(body.size()));
  EXPECT_EQ(DecodeStats(body).value().generation, 18u);
}

TEST_F(LinkServerTest, PassesThePublishedFileDescriptorOnAndClosesIt) {
  Client client(path_);
  Serve();
  client.Receive();
  const std::vector<std::byte> bytes(123);
  const Memfd image(bytes);
  const size_t before = OpenFileDescriptors();
  client.Send(1, PublishMessage{.generation = 4, .image_bytes = 123}, {image.get()});
  Serve();
  EXPECT_EQ(handler_.received_bytes, 123u);
  EXPECT_EQ(OpenFileDescriptors(), before);
  const std::optional<DecodedMessage> reply = client.Receive();
  ASSERT_TRUE(reply);
  EXPECT_TRUE(std::get<PublishedMessage>(reply->message).in_force);
}

TEST_F(LinkServerTest, RefusesToPublishWithoutExactlyOneFileDescriptor) {
  Client client(path_);
  Serve();
  client.Receive();
  const Memfd image({});
  const size_t before = OpenFileDescriptors();
  client.Send(1, PublishMessage{.generation = 4, .image_bytes = 0});
  client.Send(2, PublishMessage{.generation = 4, .image_bytes = 0}, {image.get(), image.get()});
  Serve();
  for (int i = 0; i < 2; ++i) {
    const std::optional<DecodedMessage> reply = client.Receive();
    ASSERT_TRUE(reply);
    EXPECT_FALSE(std::get<PublishedMessage>(reply->message).in_force);
    EXPECT_NE(std::get<PublishedMessage>(reply->message).reason, "");
  }
  EXPECT_EQ(OpenFileDescriptors(), before);
}

// A client that sends images faster than they can be loaded must not delay other clients.
TEST_F(LinkServerTest, PublishesTheNewestOfManyImages) {
  Client client(path_);
  Serve();
  client.Receive();
  const Memfd image({});
  const size_t before = OpenFileDescriptors();
  for (uint32_t i = 1; i <= 10; ++i) {
    client.Send(i, PublishMessage{.generation = i, .image_bytes = 0}, {image.get()});
  }
  client.Send(11, FindFlowMessage{.tag = 7});
  Serve();
  EXPECT_EQ(handler_.published, std::vector<uint64_t>{10});
  EXPECT_EQ(OpenFileDescriptors(), before);
  std::map<uint32_t, bool> in_force;
  for (int i = 0; i < 11; ++i) {
    const std::optional<DecodedMessage> reply = client.Receive();
    ASSERT_TRUE(reply);
    if (const auto* published = std::get_if<PublishedMessage>(&reply->message)) {
      in_force[reply->id] = published->in_force;
    }
  }
  ASSERT_EQ(in_force.size(), 10U);
  for (const auto& [id, in] : in_force) EXPECT_EQ(in, id == 10) << id;
}

TEST_F(LinkServerTest, DisconnectsTheOldestSilentClientForANewOne) {
  std::vector<std::unique_ptr<Client>> asking, silent;
  for (int i = 0; i < 2; ++i) {
    asking.push_back(std::make_unique<Client>(path_));
    Serve();
    asking.back()->Receive();
    asking.back()->Send(1, FindFlowMessage{});
    Serve();
    asking.back()->Receive();
  }
  for (int i = 0; i < 14; ++i) {
    silent.push_back(std::make_unique<Client>(path_));
    Serve();
  }
  EXPECT_EQ(server_.client_count(), 16U);
  Client late(path_);
  Serve();
  EXPECT_TRUE(late.Receive().has_value()) << "the client must be greeted";
  EXPECT_EQ(server_.client_count(), 16U);
  silent[0]->Receive();
  EXPECT_TRUE(silent[0]->IsDisconnected()) << "the oldest client without a request must go";
  for (const auto& client : asking) EXPECT_FALSE(client->IsDisconnected());
}

TEST_F(LinkServerTest, DoesNotSpinWithoutFreeFileDescriptors) {
  std::vector<pollfd> fds;
  {
    const Client waiting(path_);
    const NoFreeFileDescriptors none;
    Serve();
    EXPECT_EQ(server_.client_count(), 0U);
    server_.AddPollFds(&fds);
    EXPECT_TRUE(fds.empty()) << "the waiting client would wake poll() at once";
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  server_.AddPollFds(&fds);
  EXPECT_EQ(fds.size(), 1U);
  Client client(path_);
  Serve();
  EXPECT_TRUE(client.Receive().has_value()) << "the client must be greeted";
}

TEST_F(LinkServerTest, ReportsAnImageThatItHasNoFileDescriptorFor) {
  Client client(path_);
  Serve();
  client.Receive();
  const Memfd image({});
  client.Send(1, PublishMessage{.generation = 4, .image_bytes = 0}, {image.get()});
  client.Send(2, GetStatsMessage{});
  {
    const NoFreeFileDescriptors none;
    Serve();
  }
  const std::optional<DecodedMessage> reply = client.Receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(std::get<PublishedMessage>(reply->message).reason,
            "the dataplane has too many open files to receive the image");
  EXPECT_EQ(server_.client_count(), 1U) << "the client must stay connected";
  client.Send(3, PublishMessage{.generation = 4, .image_bytes = 0}, {image.get()});
  Serve();
  EXPECT_EQ(handler_.published, std::vector<uint64_t>{4});
}

TEST_F(LinkServerTest, ClosesUnexpectedFileDescriptors) {
  Client client(path_);
  Serve();
  client.Receive();
  // The file descriptor of the answers stays open.
  client.Send(1, GetStatsMessage{});
  Serve();
  const Memfd image({});
  const size_t before = OpenFileDescriptors();
  client.Send(2, GetStatsMessage{}, {image.get(), image.get(), image.get()});
  Serve();
  EXPECT_EQ(OpenFileDescriptors(), before);
}

TEST_F(LinkServerTest, DisconnectsOnlyTheClientThatBreaksTheProtocol) {
  Client good(path_);
  Serve();
  good.Receive();
  const std::vector<std::byte> garbage(40, std::byte{0x5a});
  const std::vector<std::byte> too_long(kMaxLinkMessageBytes + 1);
  std::vector<std::byte> cut = EncodeLinkMessage(1, GetStatsMessage{});
  cut.pop_back();
  for (const auto& bytes : {garbage, too_long, cut, EncodeLinkMessage(1, HelloMessage{})}) {
    Client bad(path_);
    Serve();
    bad.Receive();
    bad.SendBytes(bytes);
    Serve();
    EXPECT_TRUE(bad.IsDisconnected());
  }
  good.Send(1, FindFlowMessage{.tag = 7, .buckets = 0, .service_id = 0});
  Serve();
  EXPECT_TRUE(good.Receive());
  EXPECT_EQ(server_.client_count(), 1u);
}

TEST_F(LinkServerTest, DisconnectsAClientThatDoesNotReadItsReplies) {
  Client not_reading(path_);
  Serve();
  // Far more than a socket buffer holds.
  for (int i = 0; i < 10'000 && server_.client_count() == 1; ++i) {
    not_reading.Send(1, FindFlowMessage{});
    Serve();
  }
  EXPECT_EQ(server_.client_count(), 0u);
}

TEST_F(LinkServerTest, ForgetsAClientThatDisconnected) {
  {
    Client client(path_);
    Serve();
    EXPECT_EQ(server_.client_count(), 1u);
  }
  Serve();
  EXPECT_EQ(server_.client_count(), 0u);
}

TEST_F(LinkServerTest, SocketIsOpenToTheGroupButNotToOthers) {
  struct stat info = {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
}

TEST_F(LinkServerTest, RefusesASocketInUse) {
  const Result<LinkServer> second = LinkServer::Listen(path_);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find("another fairlead-dataplane"), std::string::npos);
  Client client(path_);
  EXPECT_TRUE(client.connected());
}

TEST(LinkServerListen, ReplacesTheSocketOfADeadProcess) {
  const TemporaryFolder folder;
  const std::string path = folder / "link.sock";
  const int dead = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(dead, 1), 0);
  close(dead);
  const Result<LinkServer> server = LinkServer::Listen(path);
  EXPECT_TRUE(server.ok()) << server.status().message();
  EXPECT_TRUE(Client(path).connected());
}

TEST(LinkServerListen, RefusesLinksAndFiles) {
  const TemporaryFolder folder;
  std::ofstream(folder / "file") << "precious";
  std::filesystem::create_symlink(folder / "file", folder / "link");
  EXPECT_FALSE(LinkServer::Listen(folder / "file").ok());
  EXPECT_FALSE(LinkServer::Listen(folder / "link").ok());
  EXPECT_EQ(std::filesystem::file_size(folder / "file"), 8u);
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
}

TEST(LinkServerListen, RefusesAnEmptyOrTooLongPath) {
  EXPECT_FALSE(LinkServer::Listen("").ok());
  EXPECT_FALSE(LinkServer::Listen("/tmp/" + std::string(200, 'x')).ok());
}

TEST(LinkServerListen, RemovesItsSocketAtTheEnd) {
  const TemporaryFolder folder;
  { const Result<LinkServer> server = LinkServer::Listen(folder / "link.sock"); }
  EXPECT_FALSE(std::filesystem::exists(folder / "link.sock"));
}

}  // namespace
}  // namespace fairlead
