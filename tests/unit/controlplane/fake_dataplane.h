// A dataplane as the control plane sees it: speaks the link protocol on a socket, in a thread of
// its own, and remembers what was published. With `hello.snapshot_version` 2 it is one of release 0.1.0.
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
    std::string refusal;                   // empty: takes every good image
    std::optional<std::string> raw_hello;  // sent in place of Hello
    FlowMessage flow;
  };

  FakeDataplane(std::string path, Behaviour behaviour);
  explicit FakeDataplane(std::string path) : FakeDataplane(std::move(path), Behaviour{}) {}
  // As when the process dies: the socket's file stays.
  ~FakeDataplane();

  // Waits (bounded) until `condition`, which is asked with the lock held, is true.
  bool WaitUntil(const std::function<bool()>& condition);
  bool WaitForGeneration(uint64_t generation);
  bool WaitForState(const std::string& address, BackendState state);

  // The state of a backend in the image in force; nullopt: it is not in there.
  std::optional<BackendState> StateOf(const std::string& address);
  uint64_t generation();
  // Of the image in force: "203.0.113.10:80/tcp", in its order.
  std::vector<std::string> FrontendsInForce();
  // How many images were received, good or not.
  size_t publish_count();

  void SetRefusal(std::string refusal);
  // From the next image on; kNo: it is in use again.
  void SetLeftOut(const std::string& address, LeftOut reason);
  // `flows`: what every backend in force has; swept at the moment of each question.
  void SetFlows(uint64_t flows);
  // What the next questions are told; `flows`, generation and the image's services go before it.
  void SetStats(DataplaneStats stats);
  // Until `count` more questions for statistics have been answered.
  bool WaitForStats(size_t count);

 private:
  void Run();
  void Accept();
  // False: the client is gone.
  bool Serve(int client);
  HelloMessage Hello() const;
  bool is_release_0_1_0() const { return behaviour_.hello.snapshot_version == 2; }
  // In the version that was asked in.
  void Reply(int client, const DecodedMessage& question, const LinkMessage& answer, int fd = -1);
  void Answer(int client, const DecodedMessage& question, int fd);
  void AnswerStats(int client, const DecodedMessage& question);
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
