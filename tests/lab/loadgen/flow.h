// One TCP connection or UDP flow that sends requests and counts the replies and failures.
//
//   TCP   closed -> connecting -> waiting <-> pausing        enters `waiting` by sending a request
//   UDP   closed -> waiting <-> pausing
//
// A long-lived flow (Group kTcpKeep, kUdpKeep) starts again 100 ms after its connection failed. Any
// other flow ends after its first reply or failure. Its object may be started again.
#pragma once

#include <cstdint>
#include <string>

#include "tests/lab/loadgen/figures.h"
#include "tests/lab/loadgen/loop.h"
#include "tests/lab/loadgen/options.h"

namespace fairlead::loadgen {

struct Environment {
  const Options* options;
  Loop* loop;
  Figures* figures;
  bool stopping = false;  // wait for replies, send no more requests
  size_t next_target = 0;
  size_t next_source = 0;

  // The next target and the next source of its family, round robin.
  void NextPair(SocketAddress* target, SocketAddress* source, bool* has_source);
};

class Flow : public Handler {
 public:
  Flow(Environment* environment, Group group) : env_(environment), group_(group) {}
  ~Flow() override;

  void Start();
  // True while it has no socket and no timer to start again.
  bool done() const { return state_ == State::kClosed; }
  bool connecting() const { return state_ == State::kConnecting; }
  // Must be called once when Environment::stopping was set.
  void OnStopping();

  void OnSocket(uint32_t epoll_events) override;
  void OnTimer() override;

 private:
  enum class State : uint8_t { kClosed, kConnecting, kWaiting, kPausing, kRetrying };

  bool tcp() const { return group_ == Group::kTcpKeep || group_ == Group::kTcpNew; }
  bool stays() const { return group_ == Group::kTcpKeep || group_ == Group::kUdpKeep; }
  int64_t interval_us() const {
    return tcp() ? env_->options->interval_us : env_->options->udp_interval_us;
  }
  bool OpenSocket();
  void OnConnected();
  void Ask();
  void ReadTcp();
  void ReadUdp();
  // True when the reply in input_ is complete.
  bool ParseReply();
  void OnAnswer(std::string_view backend);
  void Decide(int backend);
  // Counts the failure and ends the connection.
  void Fail(Failure failure, const std::string& detail);
  void FailWithErrno(int error, const char* during);
  void Close(State next);

  Environment* env_;
  Group group_;
  State state_ = State::kClosed;
  bool decided_ = false;
  int fd_ = -1;
  int backend_ = kNoBackend;
  int64_t started_us_ = 0;
  int64_t asked_us_ = 0;
  uint64_t sequence_ = 0;
  std::string where_;  // source and target, for failures
  std::string input_;  // head of the reply
  std::string backend_name_;
  int64_t body_left_ = -1;  // missing bytes of the reply's body; -1: its head is not complete
};

}  // namespace fairlead::loadgen
