// The dataplane's end of the link (lib/link/message.h): listens, reads requests, sends replies.
// Management thread only; nothing here blocks. Knows messages, not what they mean.
#pragma once

#include <poll.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
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
  virtual DataplaneStats Stats() = 0;
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
  // replies, is disconnected. Reads what is there and returns.
  void Serve(LinkHandler* handler);

  size_t client_count() const { return clients_.size(); }

 private:
  struct Received;
  LinkServer(std::string path, int listener) : path_(std::move(path)), listener_(listener) {}

  void AcceptClients(LinkHandler* handler);
  // False: close this client.
  bool ServeClient(int client, LinkHandler* handler);

  std::string path_;
  int listener_;
  std::vector<int> clients_;
};

}  // namespace fairlead
