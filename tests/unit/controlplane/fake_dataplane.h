// A fake dataplane for tests of the control plane. Its thread speaks the link protocol on a socket
// and keeps the snapshot that was published last. With `hello.snapshot_version` 2 it behaves as
// release 0.1.0.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lib/host/unique_fd.h"
#include "lib/link/message.h"
#include "lib/link/stats.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/view.h"

namespace fairlead {

class FakeDataplane {
 public:
  struct Behaviour {
    HelloMessage hello = {.pid = 4242,
                          .instance = 4242,
                          .snapshot_version = kSnapshotVersion,
                          .worker_count = 2,
                          .own_addresses = {},
                          .release = {}};
    bool answer_publish = true;
    std::string refusal;                   // empty: accepts every valid image
    std::optional<std::string> raw_hello;  // sent in place of Hello
    FlowMessage flow;
  };

  FakeDataplane(std::string path, Behaviour behaviour);
  explicit FakeDataplane(std::string path) : FakeDataplane(std::move(path), Behaviour{}) {}
  // Leaves the socket's file, as a process that dies does.
  ~FakeDataplane();

  // Calls `condition` with the lock held until it returns true. Returns false after 20 s.
  bool WaitUntil(const std::function<bool()>& condition);
  bool WaitForGeneration(uint64_t generation);
  bool WaitForState(const std::string& address, BackendState state);

  // The state of a backend in the image in force, or nullopt if the image does not have it.
  std::optional<BackendState> StateOf(const std::string& address);
  uint64_t generation();
  // The frontends of the image in force, such as "203.0.113.10:80/tcp", in its order.
  std::vector<std::string> FrontendsInForce();
  // How many images were received, valid or not.
  size_t publish_count();

  void SetRefusal(std::string refusal);
  // Reports the backend as left out from the next image on. kNo: as used again.
  void SetLeftOut(const std::string& address, LeftOut reason);
  // Every backend in force has `flows` flows. Each reply says that they were swept just now.
  void SetFlows(uint64_t flows);
  // Sets what the next replies contain. The generation, and the services and backends of the image
  // in force, are filled in.
  void SetStats(DataplaneStats stats);
  // Waits until `count` more requests for statistics were answered.
  bool WaitForStats(size_t count);

 private:
  void Run();
  void Accept();
  // Returns false if the client is gone.
  bool Serve(int client);
  HelloMessage Hello() const;
  bool is_release_0_1_0() const { return behaviour_.hello.snapshot_version == 2; }
  // Replies in the version of the request.
  void Reply(int client, const DecodedMessage& request, const LinkMessage& answer, int fd = -1);
  void Answer(int client, const DecodedMessage& request, int fd);
  void AnswerStats(int client, const DecodedMessage& request);
  std::optional<BackendState> StateInForce(const std::string& address);
  LeftOut LeftOutOf(const BackendRecord& backend) const;

  std::string path_;
  Behaviour behaviour_;
  UniqueFd listener_;
  UniqueFd wake_;
  std::vector<UniqueFd> clients_;
  std::mutex mutex_;
  std::condition_variable changed_;
  SnapshotImage image_;
  uint64_t generation_ = 0;
  uint64_t flows_ = 0;
  std::map<std::string, LeftOut> left_out_;  // by address
  DataplaneStats stats_;
  size_t stats_count_ = 0;
  size_t publish_count_ = 0;
  std::thread thread_;
};

}  // namespace fairlead
