// The controller of the dataplane: derives the snapshot when intent or status changed, publishes it,
// and asks for statistics. At most one snapshot is on its way; what changes meanwhile is published
// after it, all at once (newest wins). After a reconnect the whole state is published again, unless the
// dataplane has exactly that image in force. It is the writer of StatusBoard's dataplane and verdicts.
//
// After a start, a dataplane that forwards already keeps what it has until every backend has its
// verdict and next hop again, at most kStartGrace: a restart of the control plane must not take
// backends out of service.
//
// A change with which the dataplane ended twice, while it put it into force, is held back until the
// next change: else it would end again and again.
//
// A store that does not know the change by which the dataplane forwards is older than that, or another
// one: its content is not published without a person's word.
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
inline constexpr uint32_t kDeathsToHoldBack = 2;

// The dataplane's last counters, by id.
struct StatsBook {
  int64_t at_ms = 0;  // wall time at which they were asked for
  DataplaneStats stats;

  // Null: the dataplane did not tell of it.
  const BackendStats* FindBackend(uint32_t id) const;
  const ServiceStats* FindService(uint32_t id) const;

 private:
  // Made when somebody asks: nobody may, and there may be a hundred thousand each second.
  mutable std::vector<uint32_t> backend_places_;
  mutable std::vector<uint32_t> service_places_;
};

class Publisher {
 public:
  struct Parts {
    const IntentLog* log;
    StatusBoard* board;
    GenerationCounter* generations;
    const Clock* clock;
    // New statistics, and when they were asked for. May be empty.
    std::function<void(const DataplaneStats&, SteadyTime)> on_stats;
    // A person has said that what is in force may be replaced by a store that does not know it.
    bool accept_older_store = false;
  };

  Publisher(boost::asio::any_io_executor executor, std::string link_path, Parts parts);

  void Start();
  void Stop();

  // Intent or status may have changed.
  void Reconcile();

  // True: a snapshot of the intent of `revision`, or of a later one, is in force in all workers. False:
  // no dataplane is connected, it refused, or it took longer than `timeout`.
  boost::asio::awaitable<bool> WaitInForce(uint64_t revision, std::chrono::milliseconds timeout);

  LinkClient& link() { return link_; }
  const LinkClient& link() const { return link_; }
  uint64_t in_force_generation() const { return in_force_generation_; }
  uint64_t applied_us() const { return applied_us_; }
  // What stands between the present state and the dataplane; empty when nothing does.
  const std::string& error() const { return error_.empty() ? link_.error() : error_; }
  // Null before the first answer. Replaced by each new one.
  std::shared_ptr<const StatsBook> stats() const { return stats_; }
  // The image of the present state, until the next Refresh(), in a format that the connected dataplane
  // reads; empty while none was made.
  std::span<const std::byte> image() const {
    if (image_generation_ == 0) return {};
    return older_image_.has_value() ? older_image_->image.bytes() : deriver_.image();
  }
  // Derives anew when something changed. Called by the publisher itself; explain calls it to see
  // the present state although no dataplane is there.
  void Refresh();

 private:
  void OnConnect(const HelloMessage& hello);
  void OnDisconnect();
  void JudgeStore(const HelloMessage& hello);
  void JudgeDeath(const HelloMessage& hello);
  bool IsHeldBack() const;
  // Makes the deriver's image of `generation`, in the format of the connected dataplane.
  void Assemble(uint64_t generation);
  boost::asio::awaitable<void> PublishLoop();
  boost::asio::awaitable<void> PublishOnce();
  // Tells of it once, waits, and has the loop try again.
  boost::asio::awaitable<void> RetryLater(std::string_view event, std::string why);
  boost::asio::awaitable<void> StatsLoop();
  boost::asio::awaitable<void> AskStats();
  void TakeVerdicts(const DataplaneStats& stats);
  void WatchConflicts(const PacketTotals& totals, SteadyTime now);
  boost::asio::awaitable<void> HoldAfterStart();
  void InForce(uint64_t generation, uint64_t revision);
  void TellBoard();

  boost::asio::any_io_executor executor_;
  Parts parts_;
  LinkClient link_;
  Event changed_;     // wakes PublishLoop
  Event ask_sooner_;  // wakes StatsLoop
  Event in_force_;    // wakes WaitInForce
  SnapshotDeriver deriver_;
  std::optional<OlderImage> older_image_;  // of the deriver's, for a dataplane of release 0.1.0
  bool image_differs_ = false;             // from the one before, which the last Refresh() made
  bool dirty_ = false;
  bool stale_ = true;        // image_ may differ from the present state
  bool reconnected_ = true;  // since the last Reconcile()
  bool stopped_ = false;
  bool first_publish_ = true;
  bool withheld_ = false;       // the store does not know what the connected dataplane forwards by
  uint64_t seen_revision_ = 0;  // by the last Reconcile(), as the next two
  uint64_t seen_change_ = 0;
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
  // To whom an image was sent that it has not answered yet; 0: nobody.
  uint64_t publishing_instance_ = 0;
  uint64_t publishing_change_ = 0;
  uint64_t publishing_generation_ = 0;
  uint64_t deadly_change_ = 0;  // with which dataplanes have ended,
  uint32_t deaths_ = 0;         // that many in a row
  std::string stats_error_;
  std::string error_;
  std::shared_ptr<StatsBook> stats_;
  std::shared_ptr<StatsBook> spare_stats_;  // the ones before, for their memory
  ConflictWatch conflicts_;
};

}  // namespace fairlead
