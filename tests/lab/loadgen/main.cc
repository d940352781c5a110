// fairlead-loadgen: sends requests on long-lived connections and UDP flows, opens new ones at a
// steady rate, and counts every failure (figures.h). Tests read the figures that it prints.
#include <algorithm>
#include <csignal>
#include <iostream>
#include <memory>

#include <sys/resource.h>

#include "tests/lab/loadgen/flow.h"

namespace fairlead::loadgen {
namespace {

volatile std::sig_atomic_t stop_asked = 0;

// The flows of one group with one request each. It opens them at a rate, or as fast as
// `concurrency` allows.
class ShortFlows {
 public:
  ShortFlows(Environment* environment, Group group, uint32_t per_second, uint64_t count)
      : env_(environment),
        group_(group),
        per_second_(per_second),
        left_(count),
        endless_(count == 0),
        next_us_(NowUs()) {}

  bool active() const { return per_second_ > 0 || !endless_; }
  bool exhausted() const { return !endless_ && left_ == 0; }

  // Opens the flows that are due. Returns when the next one is due.
  int64_t OpenDue(int64_t now_us) {
    Collect();
    while (active() && !exhausted() && !env_->stopping && next_us_ <= now_us) {
      if (per_second_ == 0 && busy_.size() >= env_->options->concurrency) return now_us + 1000;
      Flow* flow = Take();
      flow->Start();
      if (!endless_) --left_;
      if (per_second_ > 0) next_us_ += 1'000'000 / per_second_;
    }
    return next_us_;
  }

  bool idle() {
    Collect();
    return busy_.empty();
  }

 private:
  Flow* Take() {
    if (free_.empty()) {
      flows_.push_back(std::make_unique<Flow>(env_, group_));
      free_.push_back(flows_.back().get());
    }
    Flow* flow = free_.back();
    free_.pop_back();
    busy_.push_back(flow);
    return flow;
  }

  void Collect() {
    for (size_t i = 0; i < busy_.size();) {
      if (!busy_[i]->done()) {
        ++i;
        continue;
      }
      free_.push_back(busy_[i]);
      busy_[i] = busy_.back();
      busy_.pop_back();
    }
  }

  Environment* env_;
  Group group_;
  uint32_t per_second_;
  uint64_t left_;
  bool endless_;
  int64_t next_us_;
  std::vector<std::unique_ptr<Flow>> flows_;
  std::vector<Flow*> free_;
  std::vector<Flow*> busy_;
};

// The long-lived flows of one group. It opens a few at a time.
class LongFlows {
 public:
  LongFlows(Environment* environment, Group group, uint32_t count) : env_(environment) {
    for (uint32_t i = 0; i < count; ++i) {
      flows_.push_back(std::make_unique<Flow>(environment, group));
    }
  }

  bool AllStarted() const { return started_ == flows_.size(); }

  void StartSome() {
    if (AllStarted()) return;
    size_t connecting = 0;
    for (size_t i = 0; i < started_; ++i) connecting += flows_[i]->connecting() ? 1 : 0;
    for (; connecting < env_->options->concurrency && !AllStarted(); ++connecting) {
      flows_[started_++]->Start();
    }
  }

  void Stop() {
    for (size_t i = 0; i < started_; ++i) flows_[i]->OnStopping();
  }

  bool idle() const {
    return std::all_of(flows_.begin(), flows_.end(), [](const auto& flow) { return flow->done(); });
  }

 private:
  Environment* env_;
  std::vector<std::unique_ptr<Flow>> flows_;
  size_t started_ = 0;
};

class Driver {
 public:
  Driver(const Options& options, std::FILE* events)
      : options_(options),
        figures_(NowUs(), events),
        env_{&options_, &loop_, &figures_},
        tcp_(&env_, Group::kTcpNew, options.new_per_second, options.count),
        udp_(&env_, Group::kUdpNew, options.udp_new_per_second, options.udp_count),
        tcp_keep_(&env_, Group::kTcpKeep, options.keep),
        udp_keep_(&env_, Group::kUdpKeep, options.udp) {}

  void Run() {
    const int64_t start = NowUs();
    int64_t report = start + options_.report_us;
    while (!Over(start)) {
      const int64_t now = NowUs();
      if (options_.report_us > 0 && now >= report) {
        Print();
        report = now + options_.report_us;
      }
      int64_t until = now + 10'000;
      tcp_keep_.StartSome();
      udp_keep_.StartSome();
      if (tcp_.active()) until = std::min(until, tcp_.OpenDue(now));
      if (udp_.active()) until = std::min(until, udp_.OpenDue(now));
      loop_.Run(until);
    }
    Print();
  }

 private:
  void Print() { std::cout << figures_.ToJson(NowUs()).dump() << std::endl; }

  bool AllIdle() { return tcp_.idle() && udp_.idle() && tcp_keep_.idle() && udp_keep_.idle(); }

  bool Over(int64_t start) {
    const bool counted = (options_.count > 0 || options_.udp_count > 0) &&
                         (!tcp_.active() || tcp_.exhausted()) &&
                         (!udp_.active() || udp_.exhausted()) && tcp_.idle() && udp_.idle();
    const bool timed = options_.duration_us > 0 && NowUs() - start >= options_.duration_us;
    if (!env_.stopping && (stop_asked != 0 || counted || timed)) {
      env_.stopping = true;
      tcp_keep_.Stop();
      udp_keep_.Stop();
    }
    return env_.stopping && AllIdle();
  }

  Options options_;
  Loop loop_;
  Figures figures_;
  Environment env_;
  ShortFlows tcp_;
  ShortFlows udp_;
  LongFlows tcp_keep_;
  LongFlows udp_keep_;
};

int Main(int argc, char** argv) {
  Options options;
  int status = 0;
  if (!ParseOptions(argc, argv, &options, &status)) return status;
  std::signal(SIGINT, [](int) { stop_asked = 1; });
  std::signal(SIGTERM, [](int) { stop_asked = 1; });
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  std::FILE* events = nullptr;
  if (!options.events.empty()) {
    events = std::fopen(options.events.c_str(), "w");
    if (events == nullptr) {
      std::cerr << "--events: cannot write " << options.events << "\n";
      return 2;
    }
  }
  Driver(options, events).Run();
  if (events != nullptr) std::fclose(events);
  return 0;
}

}  // namespace
}  // namespace fairlead::loadgen

int main(int argc, char** argv) { return fairlead::loadgen::Main(argc, argv); }
