// One thread's event loop: sockets by epoll, timers by a heap.
#pragma once

#include <cstdint>
#include <queue>
#include <vector>

namespace fairlead::loadgen {

int64_t NowUs();  // CLOCK_MONOTONIC

// Something with a socket and at most one timer. The loop does not own it.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void OnSocket(uint32_t epoll_events) = 0;
  virtual void OnTimer() = 0;

 private:
  friend class Loop;
  uint64_t timer_ = 0;  // the number of the timer that counts; others have been replaced
};

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Watch(int fd, uint32_t events, Handler* handler);
  void Change(int fd, uint32_t events, Handler* handler);
  // Replaces the handler's timer. Handlers must outlive their timers: they are never freed while
  // the loop runs, but used again.
  void SetTimer(Handler* handler, int64_t when_us);
  void ClearTimer(Handler* handler) { handler->timer_ = 0; }

  // One round: waits until something happens, at most until `until_us`.
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
