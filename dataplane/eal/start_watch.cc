#include "dataplane/eal/start_watch.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <mutex>

#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

namespace fairlead {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kWarnPeriodMs = 10'000;
// Filling 128 GiB of flow table takes about this long.
constexpr std::chrono::seconds kLongestStep{120};
constexpr std::chrono::seconds kMoreTime{30};  // longer than two periods

struct StartStep {
  std::string what = "start";
  Clock::time_point since = Clock::now();
};

std::mutex step_mutex;
StartStep present_step;

StartStep PresentStep() {
  const std::lock_guard lock(step_mutex);
  return present_step;
}

// Ends the process as the signal does by default. The runtime files may stay; a next process takes
// them over.
void EndBySignal(int number) {
  spdlog::warn("ended by {} while {}", number == SIGTERM ? "SIGTERM" : "SIGINT",
               PresentStep().what);
  spdlog::default_logger()->flush();
  signal(number, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  raise(number);
}

}  // namespace

StartWatch::StartWatch(int signal_fd, ServiceManager* service_manager)
    : signal_fd_(signal_fd),
      service_manager_(service_manager),
      over_(eventfd(0, EFD_CLOEXEC)),
      thread_([this] { Run(); }) {}

StartWatch::~StartWatch() {
  const uint64_t one = 1;
  if (write(over_.get(), &one, sizeof(one)) < 0) spdlog::warn("the start's watch does not end");
  thread_.join();
}

void StartWatch::Run() const {
  for (;;) {
    pollfd fds[] = {{over_.get(), POLLIN, 0}, {signal_fd_, POLLIN, 0}};
    const int ready = poll(fds, 2, kWarnPeriodMs);
    if (fds[0].revents != 0) return;
    if (fds[1].revents != 0) {
      signalfd_siginfo info = {};
      if (read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
        EndBySignal(static_cast<int>(info.ssi_signo));
      }
    }
    if (ready != 0) continue;
    const StartStep step = PresentStep();
    const auto passed = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - step.since);
    service_manager_->SetStatus("starting: " + step.what);
    if (passed < kLongestStep) service_manager_->ExtendStart(kMoreTime);
    if (passed.count() * 1000 >= kWarnPeriodMs) {
      spdlog::warn("still {}, for {} s now; SIGTERM ends it", step.what, passed.count());
    }
  }
}

void BeginStartStep(const std::string& what) {
  spdlog::info("{}", what);
  const std::lock_guard lock(step_mutex);
  present_step = {what, Clock::now()};
}

}  // namespace fairlead
