#include "controlplane/publish/link_client.h"

#include <algorithm>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controlplane/common/log.h"
#include "controlplane/common/time.h"
#include "lib/snapshot/format.h"

namespace fairlead {
namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kFirstRetry{50};
constexpr milliseconds kLongestRetry{500};
constexpr milliseconds kHelloTimeout{2000};
// Enough for the counters of 1 Mi backends, 40 bytes each.
constexpr uint64_t kMaxStatsBytes = uint64_t{256} << 20;

}  // namespace

LinkClient::LinkClient(asio::any_io_executor executor, std::string path, Callbacks callbacks)
    : executor_(std::move(executor)),
      path_(std::move(path)),
      callbacks_(std::move(callbacks)),
      timer_(executor_) {}

LinkClient::~LinkClient() = default;

void LinkClient::Start() {
  SpawnLoop(executor_, "link", [this] { return Run(); });
}

void LinkClient::Stop() {
  stopped_ = true;
  timer_.cancel();
  Disconnect("stopping");
}

asio::awaitable<void> LinkClient::Run() {
  Disconnect("out of memory");  // has an effect only if SpawnLoop() started the loop again
  milliseconds retry = kFirstRetry;
  while (!stopped_) {
    Result<UniqueFd> socket = ConnectSeqpacket(path_);
    if (socket.ok()) {
      socket_ = std::make_unique<asio::posix::stream_descriptor>(executor_, socket->Release());
      co_await Read();
      if (stopped_) co_return;
      if (std::exchange(hello_received_, false)) retry = kFirstRetry;
    } else if (error_ != socket.status().message()) {
      error_ = socket.status().message();
      Log(LogLevel::kWarning, "dataplane_not_reached", {{"reason", error_}});
    }
    co_await SleepUntil(&timer_, SteadyNow() + retry);
    retry = std::min(retry * 2, kLongestRetry);
  }
}

// Reads until the connection ends.
asio::awaitable<void> LinkClient::Read() {
  asio::steady_timer hello_timer(executor_);
  hello_timer.expires_after(kHelloTimeout);
  hello_timer.async_wait([this, socket = socket_.get()](const boost::system::error_code& error) {
    if (!error && socket_.get() == socket && !hello_) Disconnect("no Hello within 2s");
  });
  while (socket_ != nullptr) {
    boost::system::error_code error;
    co_await socket_->async_wait(asio::posix::stream_descriptor::wait_read,
                                 asio::redirect_error(asio::use_awaitable, error));
    if (error || socket_ == nullptr) break;
    if (!ReceiveAll()) break;
  }
  hello_timer.cancel();
}

bool LinkClient::ReceiveAll() {
  while (socket_ != nullptr) {
    Result<std::optional<Datagram>> datagram =
        ReceiveDatagram(socket_->native_handle(), kMaxLinkMessageBytes);
    if (!datagram.ok()) {
      Disconnect(datagram.status().message());
      return false;
    }
    if (!datagram->has_value()) return true;
    if ((*datagram)->bytes.empty()) {
      Disconnect("closed by the dataplane");
      return false;
    }
    if (!Receive(**std::move(datagram))) return false;
  }
  return false;
}

bool LinkClient::Receive(Datagram datagram) {
  Result<DecodedMessage> decoded = DecodeLinkMessage(datagram.bytes);
  if (!decoded.ok()) {
    Disconnect(decoded.status().message());
    return false;
  }
  if (std::holds_alternative<HelloMessage>(decoded->message)) return ReceiveHello(*decoded);
  // An answer that came after its timeout is dropped, with its file descriptor.
  const auto request = pending_.find(decoded->id);
  if (request == pending_.end()) return true;
  request->second->answer =
      Answer{std::move(decoded->message), std::move(datagram.fd), datagram.fd_lost};
  request->second->event.Notify();
  pending_.erase(request);
  return true;
}

bool LinkClient::ReceiveHello(const DecodedMessage& message) {
  HelloMessage hello = std::get<HelloMessage>(message.message);
  if (hello_.has_value() || awaits_full_hello_ != (message.version == kLinkVersion)) {
    Disconnect("an unexpected Hello");
    return false;
  }
  if (message.version == kFirstLinkVersion) {
    if (hello.snapshot_version >= kSnapshotVersionOfClientHello) {
      awaits_full_hello_ = true;
      const ClientHelloMessage mine{kSnapshotVersion, kStatsVersion, FAIRLEAD_VERSION};
      const Status sent =
          SendDatagram(socket_->native_handle(), EncodeLinkMessage(next_id_++, mine), -1);
      if (!sent.ok()) Disconnect(sent.message());
      return sent.ok();
    }
    hello.instance = hello.pid;
  }
  hello_ = std::move(hello);
  version_ = message.version;
  hello_received_ = true;
  error_.clear();
  Log(LogLevel::kInfo, "dataplane_connected",
      {{"pid", hello_->pid},
       {"generation", hello_->generation},
       {"workers", hello_->worker_count},
       {"release", hello_->release}});
  callbacks_.on_connect(*hello_);
  return true;
}

void LinkClient::Disconnect(const std::string& why) {
  if (socket_ == nullptr) return;
  boost::system::error_code ignored;
  // Read() still waits on the socket. It resumes with an error, and then checks socket_.
  socket_->cancel(ignored);
  const std::unique_ptr<asio::posix::stream_descriptor> socket = std::move(socket_);
  socket->close(ignored);
  const bool was_connected = hello_.has_value();
  hello_.reset();
  awaits_full_hello_ = false;
  std::map<uint32_t, std::shared_ptr<PendingRequest>> requests;
  requests.swap(pending_);
  for (const auto& [id, request] : requests) {
    request->broken = true;
    request->event.Notify();
  }
  if (was_connected) callbacks_.on_disconnect();
  // A connection that fails before its Hello is tried again twice a second, and logged once.
  // Logging is the last step because it may run out of memory.
  const bool is_new = was_connected || error_ != why;
  error_ = why;
  if (!stopped_ && is_new) Log(LogLevel::kWarning, "dataplane_disconnected", {{"reason", why}});
}

asio::awaitable<Result<LinkClient::Answer>> LinkClient::Ask(LinkMessage message, int fd,
                                                            milliseconds timeout) {
  if (!connected()) co_return Unavailable("no dataplane is connected: " + error_);
  const uint32_t id = next_id_++;
  if (Status sent =
          SendDatagram(socket_->native_handle(), EncodeLinkMessage(id, message, version_), fd);
      !sent.ok()) {
    Disconnect(sent.message());
    co_return sent;
  }
  const auto request = std::make_shared<PendingRequest>(executor_);
  pending_[id] = request;
  const SteadyTime deadline = SteadyNow() + timeout;
  while (!request->answer.has_value() && !request->broken) {
    const bool notified = co_await request->event.Wait(deadline);
    if (!notified) break;
  }
  pending_.erase(id);
  if (request->answer.has_value()) co_return std::move(*request->answer);
  if (request->broken) co_return Unavailable("the link to the dataplane broke");
  co_return Unavailable("the dataplane did not answer in time");
}

asio::awaitable<Result<PublishedMessage>> LinkClient::Publish(PublishMessage message, int image_fd,
                                                              milliseconds timeout) {
  LinkMessage request = message;
  Result<Answer> answer = co_await Ask(std::move(request), image_fd, timeout);
  if (!answer.ok()) {
    // It is now unknown what the dataplane has in force. Its next Hello says it.
    Disconnect(answer.status().message());
    co_return answer.status();
  }
  auto* published = std::get_if<PublishedMessage>(&answer->message);
  if (published == nullptr) {
    Disconnect("the answer to Publish is not Published");
    co_return Unavailable("the dataplane's answer is not of the expected kind");
  }
  co_return std::move(*published);
}

asio::awaitable<Result<DataplaneStats>> LinkClient::GetStats(milliseconds timeout,
                                                             DataplaneStats* memory) {
  LinkMessage message = GetStatsMessage{};
  Result<Answer> answer = co_await Ask(std::move(message), -1, timeout);
  if (!answer.ok()) co_return answer.status();
  if (answer->fd_lost) {
    co_return Unavailable("no file descriptor left for the dataplane's statistics");
  }
  const auto* stats = std::get_if<StatsMessage>(&answer->message);
  if (stats == nullptr || !answer->fd.valid() || stats->body_bytes > kMaxStatsBytes) {
    Disconnect("the answer to GetStats has no usable statistics");
    co_return Unavailable("the dataplane's answer is not of the expected kind");
  }
  Result<std::vector<std::byte>> body =
      ReadFileDescriptor(answer->fd.get(), stats->body_bytes, std::move(stats_memory_));
  if (!body.ok()) co_return body.status();
  stats_memory_ = *std::move(body);
  if (memory == nullptr) co_return DecodeStats(stats_memory_);
  co_return DecodeStats(stats_memory_, std::move(*memory));
}

asio::awaitable<Result<ProbesMessage>> LinkClient::OpenProbes(int targets_fd,
                                                              milliseconds timeout) {
  LinkMessage message = OpenProbesMessage{};
  Result<Answer> answer = co_await Ask(std::move(message), targets_fd, timeout);
  if (!answer.ok()) co_return answer.status();
  auto* probes = std::get_if<ProbesMessage>(&answer->message);
  if (probes == nullptr) {
    Disconnect("the answer to OpenProbes is not Probes");
    co_return Unavailable("the dataplane's answer is not of the expected kind");
  }
  co_return std::move(*probes);
}

asio::awaitable<Result<FlowMessage>> LinkClient::FindFlow(const FindFlowMessage& request,
                                                          milliseconds timeout) {
  LinkMessage message = request;
  Result<Answer> answer = co_await Ask(std::move(message), -1, timeout);
  if (!answer.ok()) co_return answer.status();
  const auto* flow = std::get_if<FlowMessage>(&answer->message);
  if (flow == nullptr) {
    Disconnect("the answer to FindFlow is not Flow");
    co_return Unavailable("the dataplane's answer is not of the expected kind");
  }
  co_return *flow;
}

}  // namespace fairlead
