// The dataplane's end of the link (lib/link/message.h): listens, reads requests, answers each in the
// version that it was asked in.
// Management thread only; nothing here blocks. Knows messages, not what they mean.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/host/unique_fd.h"
#include "lib/link/message.h"
#include "lib/link/stats.h"

namespace fairlead {

// What the messages mean.
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;
  virtual HelloMessage Hello() = 0;
  // `fd` is the handler's to read, not to close.
  virtual PublishedMessage Publish(const PublishMessage& message, int fd) = 0;
  // Valid until the next call.
  virtual const DataplaneStats& Stats() = 0;
  virtual FlowMessage FindFlow(const FindFlowMessage& message) = 0;
};

class LinkServer {
 public:
  // Listens at `path`, made with mode 0660 in a directory that is made if need be. A socket file
  // that nobody listens on any more is replaced. Refuses a live one, a symbolic link, and any other
  // kind of file.
  static Result<LinkServer> Listen(const std::string& path);
  // Closes everything and removes the socket file.
  ~LinkServer();
  LinkServer(LinkServer&& other) noexcept;
  LinkServer& operator=(LinkServer&&) = delete;
  LinkServer(const LinkServer&) = delete;
  LinkServer& operator=(const LinkServer&) = delete;

  // Appends what to poll for.
  void AddPollFds(std::vector<pollfd>* fds) const;

  // Accepts who waits and answers what was asked; whoever breaks the protocol, or does not read its
  // replies, is disconnected. Reads what is there and returns. Of several images that one client has
  // sent only the newest is published. Where there are too many clients, one makes room that never
  // asked anything, else the one that has not for longest.
  void Serve(LinkHandler* handler);

  size_t client_count() const { return clients_.size(); }

 private:
  using SteadyClock = std::chrono::steady_clock;
  struct Received;
  struct Client {
    int fd;
    bool has_asked = false;
    uint32_t stats_version = kFirstStatsVersion;  // that it reads; a ClientHello may raise it
    SteadyClock::time_point heard;
    UniqueFd stats;  // a memfd, of its last answer
  };
  LinkServer(std::string path, int listener) : path_(std::move(path)), listener_(listener) {}

  void AcceptClients(LinkHandler* handler);
  void MakeRoom();
  // False: close this client.
  bool ServeClient(Client* client, LinkHandler* handler);
  bool Answer(Client* client, const DecodedMessage& question, const Received& received,
              LinkHandler* handler);
  bool AnswerHello(Client* client, uint32_t id, const ClientHelloMessage& hello,
                   LinkHandler* handler);

  std::string path_;
  int listener_;
  std::vector<Client> clients_;
  std::vector<std::byte> stats_body_;  // the last one, for its memory
  // Without descriptors nobody can be accepted, and whoever waits would keep poll() from waiting.
  SteadyClock::time_point accept_again_;
  bool cannot_accept_ = false;
};

}  // namespace fairlead
