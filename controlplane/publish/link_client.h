// The control plane's end of the link to the dataplane: connects, connects again whenever the link
// breaks, asks and matches answers. Speaks the older version to a dataplane of release 0.1.0
// (lib/link/message.h). One thread (the executor's).
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
  // Of the dataplane that is connected; in version 2, `instance` is made of its pid. REQUIRES
  // connected().
  const HelloMessage& hello() const { return *hello_; }
  // What is spoken with it. REQUIRES connected().
  uint16_t version() const { return version_; }
  // Why there is no link; empty while there is one.
  const std::string& error() const { return error_; }

  // Each fails with kUnavailable when the link is down, breaks, or the answer does not come in
  // time, and when this process has no descriptor or memory for it; then the link stays. An answer
  // of another kind breaks the link. `image_fd`: a memfd with the image; the dataplane may read it
  // until it answers, and where this fails for longer.
  boost::asio::awaitable<Result<PublishedMessage>> Publish(PublishMessage message, int image_fd,
                                                           std::chrono::milliseconds timeout);
  // `memory`: statistics that are no longer needed, for their memory; null: none.
  boost::asio::awaitable<Result<DataplaneStats>> GetStats(std::chrono::milliseconds timeout,
                                                          DataplaneStats* memory);
  boost::asio::awaitable<Result<FlowMessage>> FindFlow(const FindFlowMessage& flow,
                                                       std::chrono::milliseconds timeout);

 private:
  struct Answer {
    LinkMessage message;
    UniqueFd fd;
    bool fd_lost = false;
  };
  struct Question {
    explicit Question(boost::asio::any_io_executor executor) : event(std::move(executor)) {}
    Event event;
    std::optional<Answer> answer;
    bool broken = false;
  };

  boost::asio::awaitable<void> Run();
  boost::asio::awaitable<void> Read();
  boost::asio::awaitable<Result<Answer>> Ask(LinkMessage message, int fd,
                                             std::chrono::milliseconds timeout);
  // False ends the connection, with error_ set.
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
  uint16_t version_ = 0;        // of hello_
  bool answers_hello_ = false;  // the dataplane was sent a ClientHello, and owes the whole Hello
  bool greeted_ = false;        // by the dataplane of the last connection
  std::map<uint32_t, std::shared_ptr<Question>> questions_;  // by id
  uint32_t next_id_ = 1;
  std::string error_;
  std::vector<std::byte> stats_memory_;
  bool stopped_ = false;
};

}  // namespace fairlead
