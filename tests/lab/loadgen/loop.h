// An event loop for one thread: sockets by epoll, timers in a heap.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

namespace fairlead::loadgen {

int64_t NowUs();  // CLOCK_MONOTONIC

// An object with a socket and at most one timer. The loop does not own it.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void OnSocket(uint32_t epoll_events) = 0;
  virtual void OnTimer() = 0;

 private:
  friend class Loop;
  uint64_t timer_ = 0;  // number of the current timer, 0 = none; older timers are ignored
};

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Watch(int fd, uint32_t events, Handler* handler);
  void Change(int fd, uint32_t events, Handler* handler);
  // Replaces the handler's timer. REQUIRES: the handler outlives its timers. Handlers are reused,
  // not freed, while the loop runs.
  void SetTimer(Handler* handler, int64_t when_us);
  void ClearTimer(Handler* handler) { handler->timer_ = 0; }

  // One round: waits for events, at most until `until_us`, and handles them.
  void Run(int64_t until_us);

 private:
  struct Timer {
    int64_t when_us;
    uint64_t number;
    Handler* handler;
    friend bool operator>(const Timer& a, const Timer& b) { return a.when_us > b.when_us; }
  };
  int epoll_ = -1;
  uint64_t next_timer_ = 1;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
};

}  // namespace fairlead::loadgen
