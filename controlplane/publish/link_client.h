// The control plane's end of the link to the dataplane. Connects, reconnects when the link breaks,
// sends requests and matches answers to them. Uses the first link version with a dataplane of
// release 0.1.0 (lib/link/message.h). One thread (the executor's).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/event.h"
#include "controlplane/publish/seqpacket.h"
#include "lib/link/message.h"
#include "lib/link/stats.h"

namespace fairlead {

class LinkClient {
 public:
  struct Callbacks {
    std::function<void(const HelloMessage&)> on_connect;
    std::function<void()> on_disconnect;
  };

  LinkClient(boost::asio::any_io_executor executor, std::string path, Callbacks callbacks);
  ~LinkClient();

  void Start();
  void Stop();

  bool connected() const { return hello_.has_value(); }
  // The Hello of the connected dataplane. In the first link version `instance` is its pid. REQUIRES
  // connected().
  const HelloMessage& hello() const { return *hello_; }
  // The link version in use. REQUIRES connected().
  uint16_t version() const { return version_; }
  // Why there is no link; empty while there is one.
  const std::string& error() const { return error_; }

  // Each fails with kUnavailable if the link is down or breaks, if the answer does not come in
  // time, or if this process has no file descriptor or memory for it. In the last case the link
  // stays. An answer of another kind breaks the link. `image_fd`: a memfd with the image. The
  // dataplane may read it until it answers. After a failure it may still read it later.
  boost::asio::awaitable<Result<PublishedMessage>> Publish(PublishMessage message, int image_fd,
                                                           std::chrono::milliseconds timeout);
  // `memory`: old statistics whose memory is reused; null: none.
  boost::asio::awaitable<Result<DataplaneStats>> GetStats(std::chrono::milliseconds timeout,
                                                          DataplaneStats* memory);
  // `targets_fd`: OpenProbesMessage. REQUIRES that the dataplane makes probes (Hello).
  boost::asio::awaitable<Result<ProbesMessage>> OpenProbes(int targets_fd,
                                                           std::chrono::milliseconds timeout);
  boost::asio::awaitable<Result<FlowMessage>> FindFlow(const FindFlowMessage& flow,
                                                       std::chrono::milliseconds timeout);

 private:
  struct Answer {
    LinkMessage message;
    UniqueFd fd;
    bool fd_lost = false;
  };
  struct PendingRequest {
    explicit PendingRequest(boost::asio::any_io_executor executor) : event(std::move(executor)) {}
    Event event;
    std::optional<Answer> answer;
    bool broken = false;
  };

  boost::asio::awaitable<void> Run();
  boost::asio::awaitable<void> Read();
  boost::asio::awaitable<Result<Answer>> Ask(LinkMessage message, int fd,
                                             std::chrono::milliseconds timeout);
  // These return false after a disconnect, with error_ set.
  bool Receive(Datagram datagram);
  bool ReceiveHello(const DecodedMessage& message);
  bool ReceiveAll();
  void Disconnect(const std::string& why);

  boost::asio::any_io_executor executor_;
  std::string path_;
  Callbacks callbacks_;
  boost::asio::steady_timer timer_;
  std::unique_ptr<boost::asio::posix::stream_descriptor> socket_;
  std::optional<HelloMessage> hello_;
  uint16_t version_ = 0;            // of hello_
  bool awaits_full_hello_ = false;  // a ClientHello was sent, and the full Hello has not come
  bool hello_received_ = false;     // on the last connection
  std::map<uint32_t, std::shared_ptr<PendingRequest>> pending_;  // by id
  uint32_t next_id_ = 1;
  std::string error_;
  std::vector<std::byte> stats_memory_;
  bool stopped_ = false;
};

}  // namespace fairlead
