// One TCP connection or UDP flow that asks and counts what comes of it.
//
//   TCP   closed -> connecting -> waiting <-> pausing        a request is sent in `waiting`
//   UDP   closed -> waiting <-> pausing
//
// A flow that stays (Group kTcpKeep, kUdpKeep) starts anew 100 ms after a failure of its
// connection. Any other ends after its first answer, or failure, and may be started again for
// another.
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
  bool stopping = false;  // finish what was asked, ask nothing more
  size_t next_target = 0;
  size_t next_source = 0;

  // The next target and a source of its family, by turns.
  void NextPair(SocketAddress* target, SocketAddress* source, bool* has_source);
};

class Flow : public Handler {
 public:
  Flow(Environment* environment, Group group) : env_(environment), group_(group) {}
  ~Flow() override;

  void Start();
  // True while it neither has a socket nor waits to start anew.
  bool done() const { return state_ == State::kClosed; }
  bool connecting() const { return state_ == State::kConnecting; }
  // Environment::stopping was just set.
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
  int64_t body_left_ = -1;  // bytes of the reply's body still to come; -1: still in its head
};

}  // namespace fairlead::loadgen
