// The management thread: takes snapshots and questions over the link, sweeps the flow table, and
// notices when it is time to end. The workers never wait for it.
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
#include "dataplane/manage/publisher.h"
#include "dataplane/manage/stats.h"
#include "lib/flow/flow_table.h"
#include "lib/table/sweeper.h"

namespace fairlead {

class Manager final : public LinkHandler {
 public:
  struct Environment {
    Publisher::Environment publisher;
    FlowTable* flows;
    const FlowMemory* flow_memory = nullptr;  // of it; null: it is present
    std::vector<const WorkerCounters*> workers;
    std::function<uint32_t()> now_tick;  // the workers' coarse clock
    // For how many milliseconds every worker has looked for packets in vain.
    std::function<uint64_t()> idle_ms;
    std::function<uint64_t(size_t worker)> longest_pause_us;  // may be empty
    std::function<std::vector<PortStats>()> port_stats;       // may be empty
    std::function<void()> each_second;                        // may be empty
    // Something to do between two waits; returns how many milliseconds it may wait. May be empty.
    std::function<int()> step;
    // Called at the end of a sweep that changed slots.
    std::function<void(const ForwardingTables& tables)> slots_changed;
    // When the last pass ended longer ago than that, the one under way ends before the next change.
    std::chrono::milliseconds sweep_overdue{10'000};
    std::string release;                         // HelloMessage::release
    std::optional<std::string> last_image_path;  // where good images are kept; unset = nowhere
  };

  explicit Manager(Environment environment);

  // Takes the link over. At most once.
  void AttachLink(LinkServer link) { link_.emplace(std::move(link)); }

  // Brings an image into force. `difference`: to the one in force; null: it is not known.
  Result<Publisher::Outcome> Apply(SnapshotImage image,
                                   const SnapshotDifference* difference = nullptr);
  // Keeps the image in force as the one to start with next time, if a message brought it and it is not
  // kept yet. Run() does so once the message is answered, and when it ends. A large one waits until no
  // other has come for 5 ms, 3 s at most: many changes in a row cost one file.
  void KeepImage();

  // Runs until `signal_fd` (a signalfd) is readable, or every worker has looked for packets in vain
  // for `idle_exit_ms`.
  void Run(int signal_fd, std::optional<uint32_t> idle_exit_ms);

  // Any thread: a snapshot of all counters, with the tables that they belong to locked meanwhile.
  template <typename Visitor>
  void WithStats(Visitor&& visit) {
    try {
      const std::lock_guard lock(mutex_);
      visit(Collect(), publisher_.tables());
    } catch (const std::bad_alloc&) {
      // Nobody above may be there to take it (telemetry's thread). Nothing is told this time.
    }
  }

  HelloMessage Hello() override;
  PublishedMessage Publish(const PublishMessage& message, int fd) override;
  const DataplaneStats& Stats() override;
  FlowMessage FindFlow(const FindFlowMessage& message) override;

 private:
  using SteadyClock = std::chrono::steady_clock;

  // Before the flow table's memory is present nothing is recorded, and nobody looks at it.
  bool HasFlows() const {
    return environment_.flow_memory == nullptr || environment_.flow_memory->is_present();
  }
  void BeginSweep() { sweeper_.Begin(publisher_.tables(), environment_.now_tick(), HasFlows()); }
  DataplaneStats Collect(DataplaneStats memory = {}) const;  // mutex_ held
  void SetUnkept();
  // Returns how long to wait, milliseconds.
  int KeepWhenDue();
  void RunLoop(int signal_fd, std::optional<uint32_t> idle_exit_ms);
  // One slice of the sweep, when it is time. Returns how long to wait for the next, milliseconds.
  int SweepSome();
  // Every change of tables makes the pass begin anew, and several a second would let no long one end.
  void FinishOverduePass();

  Environment environment_;
  const uint64_t instance_;  // HelloMessage::instance
  // Held while tables are exchanged or freed and while telemetry's thread looks at them.
  std::mutex mutex_;
  Publisher publisher_;
  Sweeper sweeper_;
  std::optional<LinkServer> link_;
  MappedImages mapped_images_;
  DataplaneStats stats_;  // as told last
  bool unkept_ = false;   // a message's image is in force, and not in the file yet
  SteadyClock::time_point keep_due_;
  SteadyClock::time_point keep_latest_;
  SteadyClock::time_point started_;
  SteadyClock::time_point swept_;       // when the last pass ended
  SteadyClock::time_point next_sweep_;  // when the next begins
  SteadyClock::time_point next_second_;
};

}  // namespace fairlead
