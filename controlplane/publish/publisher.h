// The controller of the dataplane. Derives the snapshot when intent or status changed, publishes
// it, and asks for statistics. At most one snapshot is sent at a time. Changes that come meanwhile
// are published together after it (the newest state wins). After a reconnect the whole state is
// published again, unless the dataplane has exactly that image in force. It is the writer of
// StatusBoard's dataplane and left-out backends.
//
// After a start, a dataplane that forwards already keeps its tables until every backend has a check
// result and a next hop again, at most for kStartGrace: a restart of the control plane must not
// take backends out of service.
//
// If the dataplane exits twice while it puts the same change in force, the change is held back
// until the next change. Otherwise the dataplane would exit again and again.
//
// A store that does not know the change that the dataplane has in force is older than that change,
// or another store. Its content is not published unless the operator allows it
// (accept_older_store).
//
// Forwarding never waits for the disk.
//
// One thread (the executor's).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "controlplane/common/event.h"
#include "controlplane/core/generation.h"
#include "controlplane/core/intent_log.h"
#include "controlplane/core/status_board.h"
#include "controlplane/publish/conflict_watch.h"
#include "controlplane/publish/deriver.h"
#include "controlplane/publish/link_client.h"
#include "controlplane/publish/shared_image.h"
#include "lib/snapshot/older_format.h"

namespace fairlead {

inline constexpr std::chrono::milliseconds kStartGrace{1500};
inline constexpr std::chrono::milliseconds kInForceWait{2000};
inline constexpr uint32_t kCrashesToHoldBack = 2;

// The dataplane's last counters, by id.
struct StatsBook {
  int64_t at_ms = 0;  // wall time at which they were asked for
  DataplaneStats stats;

  // Null: the dataplane did not report it.
  const BackendStats* FindBackend(uint32_t id) const;
  const ServiceStats* FindService(uint32_t id) const;

 private:
  // Hash tables, filled at the first lookup. Often there is no lookup, while new statistics with a
  // hundred thousand backends arrive every second.
  mutable std::vector<uint32_t> backend_cells_;
  mutable std::vector<uint32_t> service_cells_;
};

class Publisher {
 public:
  struct Parts {
    const IntentLog* log;
    StatusBoard* board;
    GenerationCounter* generations;
    const Clock* clock;
    ServiceStates* services;  // of the same board
    // New statistics, and when they were asked for. May be empty.
    std::function<void(const DataplaneStats&, SteadyTime)> on_stats;
    // The operator allows a store that does not know the change in force to replace it.
    bool accept_older_store = false;
    // The memory with the probes' targets (OpenProbesMessage); -1: makes no probes.
    int probe_targets_fd = -1;
  };

  Publisher(boost::asio::any_io_executor executor, std::string link_path, Parts parts);

  void Start();
  void Stop();

  // Intent or status may have changed.
  void Reconcile();

  // True: a snapshot of this or a later revision is in force in all workers. False: no dataplane is
  // connected, it refused the snapshot, the snapshot is not published, or `timeout` has passed.
  boost::asio::awaitable<bool> WaitInForce(uint64_t revision, std::chrono::milliseconds timeout);

  LinkClient& link() { return link_; }
  const LinkClient& link() const { return link_; }
  uint64_t in_force_generation() const { return in_force_generation_; }
  // What the connected dataplane has in force if the store does not have that change; else empty.
  std::optional<uint64_t> unknown_generation_in_force() const {
    if (!store_is_unknown_) return std::nullopt;
    return link_.hello().generation;
  }
  uint64_t applied_us() const { return applied_us_; }
  // When the workers of the dataplane that connected last were started, in milliseconds since 1970.
  // Unset if it does not tell.
  std::optional<int64_t> dataplane_started_ms() const { return dataplane_started_ms_; }
  // Why the dataplane does not have the present state in force; empty if there is no error.
  const std::string& error() const { return error_.empty() ? link_.error() : error_; }
  // The last statistics. Null before the first answer.
  std::shared_ptr<const StatsBook> stats() const { return stats_; }
  // The image of the present state, in a format that the connected dataplane reads. Valid until the
  // next RefreshImage(). Empty if none was made yet.
  std::span<const std::byte> image() const {
    if (image_generation_ == 0) return {};
    return older_image_.has_value() ? older_image_->image.bytes() : deriver_.image();
  }
  // Makes the image again if something changed. The publisher calls it. Explain calls it too, to
  // see the present state without a dataplane.
  void RefreshImage();

 private:
  void OnConnect(const HelloMessage& hello);
  void OnDisconnect();
  void CheckStore(const HelloMessage& hello);
  void CountCrashes(const HelloMessage& hello);
  // True if the last change is held back, because dataplanes exited while they put it in force.
  bool IsHeldBack() const;
  // Makes the deriver's image of `generation`, in the format of the connected dataplane.
  void Assemble(uint64_t generation);
  boost::asio::awaitable<void> PublishLoop();
  boost::asio::awaitable<void> PublishOnce();
  // Logs the error once, waits, and makes the loop try again.
  boost::asio::awaitable<void> RetryLater(std::string_view event, std::string why);
  boost::asio::awaitable<void> StatsLoop();
  boost::asio::awaitable<void> AskStats();
  // Asks each dataplane that connects to take health probes.
  boost::asio::awaitable<void> ProbesLoop();
  void SetProbes(bool open, std::string why_not);
  void UpdateLeftOut(const DataplaneStats& stats);
  // `at_ms`: the wall time at which `stats` were asked for.
  void UpdateLinks(const DataplaneStats& stats, int64_t at_ms);
  void WatchConflicts(const PacketTotals& totals, SteadyTime now);
  boost::asio::awaitable<void> WaitForStatusAfterStart();
  void SetInForce(uint64_t generation, uint64_t revision);
  void UpdateBoard();

  boost::asio::any_io_executor executor_;
  Parts parts_;
  LinkClient link_;
  Event changed_;     // wakes PublishLoop
  Event ask_sooner_;  // wakes StatsLoop
  Event in_force_;    // wakes WaitInForce
  Event connected_;   // wakes ProbesLoop
  SnapshotDeriver deriver_;
  std::optional<OlderImage> older_image_;  // the deriver's image for a dataplane of release 0.1.0
  bool image_differs_ = false;             // from the image of the last RefreshImage()
  bool publish_due_ = false;               // PublishLoop has something to do
  bool image_stale_ = true;                // the image may differ from the present state
  bool reconnected_ = true;                // since the last Reconcile()
  bool stopped_ = false;
  bool first_publish_ = true;
  bool store_is_unknown_ = false;  // the store does not know the connected dataplane's change
  uint64_t seen_revision_ = 0;     // by the last Reconcile(), like the next two
  uint64_t seen_board_change_ = 0;
  uint64_t seen_global_change_ = 0;
  SteadyTime started_at_{};
  SharedImage shared_image_;
  uint64_t image_generation_ = 0;  // 0: there is no image
  uint64_t image_revision_ = 0;
  uint64_t lowest_generation_ = 0;  // above what the connected dataplane has
  uint64_t in_force_generation_ = 0;
  uint64_t in_force_revision_ = 0;
  uint64_t refused_revision_ = 0;
  uint64_t session_ = 0;  // counts connections
  uint64_t applied_us_ = 0;
  std::vector<IpAddress> dataplane_addresses_;  // of its ports
  std::optional<int64_t> dataplane_started_ms_;
  std::vector<PortLink> port_links_;  // DataplaneStatus::links
  // The dataplane that has not answered the last image yet; 0: none.
  uint64_t publishing_instance_ = 0;
  uint64_t publishing_change_id_ = 0;
  uint64_t publishing_generation_ = 0;
  uint64_t crash_change_id_ = 0;  // the change that dataplanes exited with
  uint32_t crashes_ = 0;          // with that change, in a row
  bool ask_for_probes_ = false;   // the connected dataplane was not asked yet
  bool probes_open_ = false;
  std::string no_probes_;  // DataplaneStatus::no_probes
  std::string stats_error_;
  std::string error_;
  std::shared_ptr<StatsBook> stats_;
  std::shared_ptr<StatsBook> spare_stats_;  // the previous statistics, to reuse their memory
  ConflictWatch conflicts_;
};

}  // namespace fairlead
