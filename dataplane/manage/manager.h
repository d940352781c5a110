// The management thread: serves snapshots and requests from the link, sweeps the flow table, and
// decides when to exit. The workers never wait for it.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/manage/flow_memory.h"
#include "dataplane/manage/image_file.h"
#include "dataplane/manage/link_server.h"
#include "dataplane/manage/stats.h"
#include "dataplane/manage/table_publisher.h"
#include "dataplane/probe/probe_sender.h"
#include "lib/flow/flow_table.h"
#include "lib/table/sweeper.h"

namespace fairlead {

class Manager final : public LinkHandler {
 public:
  struct Environment {
    TablePublisher::Environment publisher;
    FlowTable* flows;
    const FlowMemory* flow_memory = nullptr;  // memory of `flows`; null: it is always present
    uint64_t records_taken_over = 0;          // in `flows`, at the start
    std::vector<const WorkerCounters*> workers;
    std::function<uint32_t()> now_tick;  // the workers' coarse clock
    // For how many milliseconds all workers have polled empty.
    std::function<uint64_t()> idle_ms;
    std::function<uint64_t(size_t worker)> longest_pause_us;  // may be empty
    std::function<std::vector<PortStats>()> port_stats;       // may be empty
    ProbeSender* probes = nullptr;                            // null: makes no probes
    std::function<void()> each_second;                        // may be empty
    // Called between two waits. Returns how many milliseconds the next may last. May be empty.
    std::function<int()> step;
    // Called at the end of a sweep that changed slot states.
    std::function<void(const ForwardingTables& tables)> slots_changed;
    // If the last sweep ended longer ago than this, the next change waits for the current sweep.
    std::chrono::milliseconds sweep_overdue{10'000};
    std::optional<std::string> last_image_path;  // where good images are saved; unset = nowhere
  };

  explicit Manager(Environment environment);

  // Takes ownership of the link. Call it at most once.
  void AttachLink(LinkServer link) { link_.emplace(std::move(link)); }

  // Brings an image into force. `difference`: from the image in force; null: unknown.
  Result<TablePublisher::Outcome> Apply(SnapshotImage image,
                                        const SnapshotDifference* difference = nullptr);
  // Saves the image in force for the next start, if it came in a message and is not saved yet.
  // Run() does this after it has answered the message, and when it ends. A large image waits until
  // no other has arrived for 100 ms, at most 3 s: many changes in a row write one file.
  void SaveImage();

  // Runs until `signal_fd` (a signalfd) is readable, or all workers have polled empty for
  // `idle_exit_ms`. REQUIRES that the workers were started just now: Hello tells for how long they
  // have been running.
  void Run(int signal_fd, std::optional<uint32_t> idle_exit_ms);

  // Any thread. Calls `visit` with all counters and their tables (null: none). The tables stay in
  // force during the call.
  template <typename Visitor>
  void WithStats(Visitor&& visit) {
    try {
      const std::lock_guard lock(mutex_);
      visit(Collect(), publisher_.tables());
    } catch (const std::bad_alloc&) {
      // The caller may be unable to catch it (telemetry's thread). This time `visit` was not
      // called, or did not end.
    }
  }

  HelloMessage Hello() override;
  PublishedMessage Publish(const PublishMessage& message, int fd) override;
  const DataplaneStats& Stats() override;
  FlowMessage FindFlow(const FindFlowMessage& message) override;
  ProbesMessage OpenProbes(int fd) override;

 private:
  using SteadyClock = std::chrono::steady_clock;

  // Before the flow table's memory is present, there are no records, and no thread may access it.
  bool HasFlows() const {
    return environment_.flow_memory == nullptr || environment_.flow_memory->is_present();
  }
  void BeginSweep() { sweeper_.Begin(publisher_.tables(), environment_.now_tick(), HasFlows()); }
  DataplaneStats Collect(DataplaneStats memory = {}) const;  // mutex_ held
  void ScheduleSave();
  // Returns how many milliseconds to wait.
  int SaveWhenDue();
  void RunLoop(int signal_fd, std::optional<uint32_t> idle_exit_ms);
  // Runs one slice of the sweep, if it is due. Returns how many milliseconds to wait for the next.
  int SweepSome();
  // Ends an overdue sweep before a change. Each change restarts the sweep, so with several changes
  // per second a long sweep would never end.
  void FinishOverdueSweep();

  Environment environment_;
  const uint64_t instance_;  // HelloMessage::instance
  // Held while tables are replaced or freed, and while telemetry's thread reads them.
  std::mutex mutex_;
  TablePublisher publisher_;
  Sweeper sweeper_;
  std::optional<LinkServer> link_;
  MappedImages mapped_images_;
  DataplaneStats stats_;  // what Stats() returned last; it reuses the memory
  bool unsaved_ = false;  // an image from a message is in force, but not saved yet
  SteadyClock::time_point save_due_;
  SteadyClock::time_point save_latest_;
  SteadyClock::time_point started_;
  SteadyClock::time_point running_since_;  // when Run() was called
  SteadyClock::time_point swept_;          // when the last sweep ended
  SteadyClock::time_point next_sweep_;     // when the next sweep begins
  SteadyClock::time_point next_second_;
};

}  // namespace fairlead
