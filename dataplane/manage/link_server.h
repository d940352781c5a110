// The dataplane's end of the link (lib/link/message.h). Listens, reads requests, and answers each
// in the link version of the request. LinkHandler implements the requests.
// Management thread only. Nothing here blocks.
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

// Carries out the requests.
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;
  virtual HelloMessage Hello() = 0;
  // The handler reads `fd`, but does not close it.
  virtual PublishedMessage Publish(const PublishMessage& message, int fd) = 0;
  // Valid until the next call.
  virtual const DataplaneStats& Stats() = 0;
  virtual FlowMessage FindFlow(const FindFlowMessage& message) = 0;
  // The handler maps `fd`, but does not close it.
  virtual ProbesMessage OpenProbes(int fd) = 0;
};

class LinkServer {
 public:
  // Listens on `path`, with mode 0660. Creates the directory if it does not exist. Replaces a
  // socket file that no process listens on. Refuses a socket in use, a symbolic link, and any other
  // kind of file.
  static Result<LinkServer> Listen(const std::string& path);
  // Closes everything and removes the socket file.
  ~LinkServer();
  LinkServer(LinkServer&& other) noexcept;
  LinkServer& operator=(LinkServer&&) = delete;
  LinkServer(const LinkServer&) = delete;
  LinkServer& operator=(const LinkServer&) = delete;

  // Appends the file descriptors to poll.
  void AddPollFds(std::vector<pollfd>* fds) const;

  // Accepts waiting clients, answers all requests that have arrived, and returns. Disconnects
  // clients that violate the protocol or do not read their replies. If one client sent several
  // images, only the newest is published. If there are too many clients, disconnects one that never
  // sent a request, else the one that has been silent for longest.
  void Serve(LinkHandler* handler);

  size_t client_count() const { return clients_.size(); }

 private:
  using SteadyClock = std::chrono::steady_clock;
  struct Received;
  struct Client {
    int fd;
    bool has_asked = false;
    uint32_t stats_version = kFirstStatsVersion;  // the newest it reads; a ClientHello may raise it
    SteadyClock::time_point heard;                // the last request
    UniqueFd stats;                               // the memfd of its last answer
  };
  LinkServer(std::string path, int listener) : path_(std::move(path)), listener_(listener) {}

  void AcceptClients(LinkHandler* handler);
  void DropIdleClient();
  // False: the caller closes this client.
  bool ServeClient(Client* client, LinkHandler* handler);
  bool Answer(Client* client, const DecodedMessage& question, const Received& received,
              LinkHandler* handler);
  bool AnswerHello(Client* client, uint32_t id, const ClientHelloMessage& hello,
                   LinkHandler* handler);

  std::string path_;
  int listener_;
  std::vector<Client> clients_;
  std::vector<std::byte> stats_body_;  // the last answer; the next one reuses its memory
  // When to accept again. Without file descriptors accept() fails, and a waiting client would make
  // poll() return at once.
  SteadyClock::time_point accept_again_;
  bool cannot_accept_ = false;
};

}  // namespace fairlead
