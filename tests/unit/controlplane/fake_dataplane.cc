#include "tests/unit/controlplane/fake_dataplane.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "controlplane/publish/seqpacket.h"
#include "tests/unit/controlplane/memfd.h"

namespace fairlead {
namespace {

// Long enough for a loaded machine under a sanitizer. A test that waits longer fails.
constexpr std::chrono::seconds kWaitLimit{20};

}  // namespace

FakeDataplane::FakeDataplane(std::string path, Behaviour behaviour)
    : path_(std::move(path)), behaviour_(std::move(behaviour)) {
  generation_ = behaviour_.hello.generation;
  stats_.workers = {{1500, 60}, {250, 40}};
  stats_.uptime_ms = 1000;
  stats_.totals.rx_packets = 100;
  stats_.totals.tx_packets = 90;
  stats_.totals.drops[static_cast<size_t>(DropReason::k_no_frontend)] = 10;
  stats_.ports = {{"wan", "eth0", SteeringStats{true, 60, 30, 2}, std::nullopt,
                   LinkStats{true, 25'000, 2, 500}},
                  {"lan", "lan0", std::nullopt, KernelPathStats{5, 1, 9, 8, 1}, std::nullopt,
                   NicStats{11, 12, 13, 14}}};
  ::unlink(path_.c_str());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, path_.size());
  listener_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
            0);
  EXPECT_EQ(::listen(listener_.get(), 8), 0);
  wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  thread_ = std::thread([this] { Run(); });
}

FakeDataplane::~FakeDataplane() {
  const uint64_t one = 1;
  EXPECT_EQ(::write(wake_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  thread_.join();
}

void FakeDataplane::Run() {
  for (;;) {
    std::vector<pollfd> fds = {{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const UniqueFd& client : clients_) fds.push_back({client.get(), POLLIN, 0});
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[0].revents != 0) return;
    for (size_t i = clients_.size(); i-- > 0;) {
      if (fds[i + 2].revents != 0 && !Serve(clients_[i].get())) {
        clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    if (fds[1].revents != 0) Accept();
  }
}

void FakeDataplane::Accept() {
  UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client.valid()) return;
  const std::lock_guard lock(mutex_);
  if (behaviour_.raw_hello.has_value()) {
    (void)::send(client.get(), behaviour_.raw_hello->data(), behaviour_.raw_hello->size(),
                 MSG_NOSIGNAL);
  } else {
    (void)SendDatagram(client.get(), EncodeLinkMessage(0, Hello(), kFirstLinkVersion), -1);
  }
  clients_.push_back(std::move(client));
  changed_.notify_all();
}

HelloMessage FakeDataplane::Hello() const {
  HelloMessage hello = behaviour_.hello;
  hello.generation = generation_;
  if (!image_.bytes().empty()) {
    hello.snapshot_digest = SnapshotView(image_.bytes()).header().digest;
  }
  return hello;
}

void FakeDataplane::Reply(int client, const DecodedMessage& request, const LinkMessage& answer,
                          int fd) {
  (void)SendDatagram(client, EncodeLinkMessage(request.id, answer, request.version), fd);
}

bool FakeDataplane::Serve(int client) {
  Result<std::optional<Datagram>> datagram = ReceiveDatagram(client, kMaxLinkMessageBytes);
  if (!datagram.ok() || !datagram->has_value()) return false;
  if ((*datagram)->bytes.empty()) return false;
  const Result<DecodedMessage> decoded = DecodeLinkMessage((*datagram)->bytes);
  EXPECT_TRUE(decoded.ok()) << decoded.status().message();
  if (!decoded.ok()) return false;
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(decoded->version, is_release_0_1_0() ? kFirstLinkVersion : kLinkVersion);
  if (std::holds_alternative<PublishMessage>(decoded->message)) {
    Answer(client, *decoded, (*datagram)->fd.get());
  } else if (std::holds_alternative<GetStatsMessage>(decoded->message)) {
    AnswerStats(client, *decoded);
  } else if (std::holds_alternative<FindFlowMessage>(decoded->message)) {
    Reply(client, *decoded, behaviour_.flow);
  } else if (std::holds_alternative<ClientHelloMessage>(decoded->message)) {
    Reply(client, *decoded, Hello());
  } else {
    ADD_FAILURE() << "the control plane sent a message of an unexpected type";
  }
  changed_.notify_all();
  return true;
}

void FakeDataplane::Answer(int client, const DecodedMessage& request, int fd) {
  const auto& message = std::get<PublishMessage>(request.message);
  ++publish_count_;
  if (!behaviour_.answer_publish) return;
  PublishedMessage reply;
  reply.generation = message.generation;
  reply.apply_us = 250;
  const Result<std::vector<std::byte>> bytes = ReadFileDescriptor(fd, message.image_bytes);
  Result<SnapshotImage> image =
      bytes.ok() ? LoadSnapshot(*bytes) : Result<SnapshotImage>(bytes.status());
  EXPECT_TRUE(image.ok()) << image.status().message();
  if (image.ok()) {
    EXPECT_EQ(SnapshotView(image->bytes()).header().generation, message.generation);
    EXPECT_EQ(SnapshotView(image->bytes()).header().version, behaviour_.hello.snapshot_version);
  }
  if (generation_ <= kMaxGeneration) {
    EXPECT_GT(message.generation, generation_) << "a new generation must be higher than the last";
  }
  reply.reason = image.ok() ? behaviour_.refusal : image.status().message();
  reply.in_force = reply.reason.empty();
  if (reply.in_force) {
    image_ = *std::move(image);
    generation_ = message.generation;
    behaviour_.hello.change_id = SnapshotView(image_.bytes()).header().change_id;
    for (const BackendRecord& backend : SnapshotView(image_.bytes()).backends()) {
      reply.left_out += LeftOutOf(backend) == LeftOut::kNo ? 0 : 1;
    }
  }
  Reply(client, request, reply);
}

void FakeDataplane::AnswerStats(int client, const DecodedMessage& request) {
  DataplaneStats stats = stats_;
  stats.generation = generation_;
  if (!image_.bytes().empty()) {
    const SnapshotView view(image_.bytes());
    for (const ServiceRecord& service : view.services()) {
      stats.services.push_back({.id = service.id, .packets = 90, .bytes = 9000, .drops = 1});
    }
    for (const BackendRecord& backend : view.backends()) {
      stats.backends.push_back({.id = backend.id,
                                .packets = 45,
                                .bytes = 4500,
                                .new_flows = 7,
                                .flows = flows_,
                                .left_out = LeftOutOf(backend)});
    }
  }
  const std::vector<std::byte> body =
      EncodeStats(stats, {}, is_release_0_1_0() ? kFirstStatsVersion : kStatsVersion);
  const UniqueFd memfd = MakeMemfd(body);
  if (!memfd.valid()) return;  // a test that limits file descriptors limits them for all threads
  Reply(client, request, StatsMessage{body.size()}, memfd.get());
  ++stats_count_;
}

bool FakeDataplane::WaitUntil(const std::function<bool()>& condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kWaitLimit, condition);
}

bool FakeDataplane::WaitForGeneration(uint64_t generation) {
  return WaitUntil([&] { return generation_ >= generation; });
}

bool FakeDataplane::WaitForState(const std::string& address, BackendState state) {
  return WaitUntil([&] { return StateInForce(address) == state; });
}

std::optional<BackendState> FakeDataplane::StateInForce(const std::string& address) {
  if (image_.bytes().empty()) return std::nullopt;
  const SnapshotView view(image_.bytes());
  for (const BackendRecord& backend : view.backends()) {
    if (AddressOf(backend).ToString() == address) return static_cast<BackendState>(backend.state);
  }
  return std::nullopt;
}

std::optional<BackendState> FakeDataplane::StateOf(const std::string& address) {
  const std::lock_guard lock(mutex_);
  return StateInForce(address);
}

uint64_t FakeDataplane::generation() {
  const std::lock_guard lock(mutex_);
  return generation_;
}

std::vector<std::string> FakeDataplane::FrontendsInForce() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> frontends;
  if (image_.bytes().empty()) return frontends;
  for (const FrontendRecord& frontend : SnapshotView(image_.bytes()).frontends()) {
    frontends.push_back(FrontendOf(frontend).ToString());
  }
  return frontends;
}

size_t FakeDataplane::publish_count() {
  const std::lock_guard lock(mutex_);
  return publish_count_;
}

void FakeDataplane::SetRefusal(std::string refusal) {
  const std::lock_guard lock(mutex_);
  behaviour_.refusal = std::move(refusal);
}

void FakeDataplane::SetLeftOut(const std::string& address, LeftOut reason) {
  const std::lock_guard lock(mutex_);
  left_out_[address] = reason;
}

LeftOut FakeDataplane::LeftOutOf(const BackendRecord& backend) const {
  const auto found = left_out_.find(AddressOf(backend).ToString());
  return found == left_out_.end() ? LeftOut::kNo : found->second;
}

void FakeDataplane::SetFlows(uint64_t flows) {
  const std::lock_guard lock(mutex_);
  flows_ = flows;
}

void FakeDataplane::SetStats(DataplaneStats stats) {
  const std::lock_guard lock(mutex_);
  stats_ = std::move(stats);
}

bool FakeDataplane::WaitForStats(size_t count) {
  std::unique_lock lock(mutex_);
  const size_t target = stats_count_ + count;
  return changed_.wait_for(lock, kWaitLimit, [&] { return stats_count_ >= target; });
}

}  // namespace fairlead
