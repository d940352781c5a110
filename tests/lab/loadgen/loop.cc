#include "tests/lab/loadgen/loop.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include <sys/epoll.h>

#include "lib/base/check.h"

namespace fairlead::loadgen {

int64_t NowUs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) { CHECK(epoll_ >= 0); }

Loop::~Loop() { close(epoll_); }

void Loop::Watch(int fd, uint32_t events, Handler* handler) {
  epoll_event event{.events = events, .data = {.ptr = handler}};
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0);
}

void Loop::Change(int fd, uint32_t events, Handler* handler) {
  epoll_event event{.events = events, .data = {.ptr = handler}};
  CHECK(epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event) == 0);
}

void Loop::SetTimer(Handler* handler, int64_t when_us) {
  handler->timer_ = next_timer_++;
  timers_.push({when_us, handler->timer_, handler});
}

void Loop::Run(int64_t until_us) {
  const int64_t next = timers_.empty() ? until_us : std::min(until_us, timers_.top().when_us);
  const int64_t wait_us = std::max<int64_t>(next - NowUs(), 0);
  std::array<epoll_event, 256> events;
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                               static_cast<int>((wait_us + 999) / 1000));
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<size_t>(i)];
    static_cast<Handler*>(event.data.ptr)->OnSocket(event.events);
  }
  const int64_t now = NowUs();
  while (!timers_.empty() && timers_.top().when_us <= now) {
    const Timer timer = timers_.top();
    timers_.pop();
    if (timer.handler->timer_ != timer.number) continue;
    timer.handler->timer_ = 0;
    timer.handler->OnTimer();
  }
}

}  // namespace fairlead::loadgen
