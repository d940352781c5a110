#include "controlplane/publish/publisher.h"

#include <algorithm>
#include <bit>

#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/log.h"
#include "controlplane/common/time.h"
#include "controlplane/core/status_text.h"
#include "controlplane/core/store.h"
#include "lib/snapshot/view.h"

namespace fairlead {
namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kPublishTimeout{10'000};
constexpr milliseconds kRetryAfterRefusal{1000};
constexpr milliseconds kStatsPeriod{1000};
constexpr milliseconds kStatsPeriodDraining{200};
constexpr milliseconds kStatsTimeout{1000};
constexpr size_t kMaxLeftOutLogged = 10;  // by name, from one answer

// Logs what a dataplane of an older release does not support, unless `before` had it already.
void LogUnsupported(const DataplaneStatus& before, const DataplaneStatus& now) {
  for (const LeftOutFrontend& each : now.left_out_frontends) {
    if (std::ranges::find(before.left_out_frontends, each) != before.left_out_frontends.end()) {
      continue;
    }
    Log(LogLevel::kWarning, "frontend_left_out",
        {{"service", each.service},
         {"frontend", each.frontend.ToString()},
         {"reason", LeftOutFrontendText(each)}});
  }
  using Services = std::vector<std::string>;
  const auto log_new = [](const char* field, const Services& had, const Services& have) {
    for (const std::string& service : have) {
      if (std::ranges::find(had, service) != had.end()) continue;
      Log(LogLevel::kWarning, "setting_not_supported", {{"service", service}, {"field", field}});
    }
  };
  log_new("on_no_backend", before.services_without_reset, now.services_without_reset);
  log_new("outlier", before.services_without_handshakes, now.services_without_handshakes);
}

// Finds the statistics with this id. `cells` is filled at the first call: an open-addressing hash
// table of 2^n cells, at most half full. Each cell has an index into `all` plus one; 0: empty.
template <typename Stats>
const Stats* FindIn(const std::vector<Stats>& all, uint32_t id, std::vector<uint32_t>* cells) {
  if (all.empty()) return nullptr;
  const auto home = [&](uint32_t of) { return (of * 0x9e3779b97f4a7c15) >> 32; };
  if (cells->empty()) {
    cells->resize(std::bit_ceil(all.size() * 2));
    for (uint32_t i = 0; i < all.size(); ++i) {
      uint64_t at = home(all[i].id) & (cells->size() - 1);
      while ((*cells)[at] != 0) at = (at + 1) & (cells->size() - 1);
      (*cells)[at] = i + 1;
    }
  }
  for (uint64_t at = home(id);; ++at) {
    const uint32_t cell = (*cells)[at & (cells->size() - 1)];
    if (cell == 0) return nullptr;
    if (all[cell - 1].id == id) return &all[cell - 1];
  }
}

}  // namespace

const BackendStats* StatsBook::FindBackend(uint32_t id) const {
  return FindIn(stats.backends, id, &backend_cells_);
}

const ServiceStats* StatsBook::FindService(uint32_t id) const {
  return FindIn(stats.services, id, &service_cells_);
}

Publisher::Publisher(asio::any_io_executor executor, std::string link_path, Parts parts)
    : executor_(executor),
      parts_(std::move(parts)),
      link_(executor, std::move(link_path),
            {[this](const HelloMessage& hello) { OnConnect(hello); }, [this] { OnDisconnect(); }}),
      changed_(executor),
      ask_sooner_(executor),
      in_force_(executor),
      connected_(executor),
      deriver_(parts_.board, parts_.clock, parts_.services),
      no_probes_(parts_.board->dataplane().no_probes) {}

void Publisher::Start() {
  started_at_ = SteadyNow();
  link_.Start();
  SpawnLoop(executor_, "publish", [this] { return PublishLoop(); });
  SpawnLoop(executor_, "stats", [this] { return StatsLoop(); });
  if (parts_.probe_targets_fd >= 0) {
    SpawnLoop(executor_, "probes", [this] { return ProbesLoop(); });
  }
}

void Publisher::Stop() {
  stopped_ = true;
  link_.Stop();
  changed_.Notify();
  ask_sooner_.Notify();
  in_force_.Notify();
  connected_.Notify();
}

void Publisher::Reconcile() {
  const uint64_t revision = parts_.log->View()->revision;
  const StatusBoard& board = *parts_.board;
  const bool changed = revision != seen_revision_ || board.next_change() != seen_board_change_ ||
                       board.global_changes() != seen_global_change_;
  if (changed || reconnected_) {
    publish_due_ = true;
    image_stale_ = true;
  }
  reconnected_ = false;
  seen_revision_ = revision;
  seen_board_change_ = board.next_change();
  seen_global_change_ = board.global_changes();
  changed_.Notify();
  if (board.running_drains() != 0) ask_sooner_.Notify();
}

void Publisher::UpdateBoard() {
  DataplaneStatus status{.connected = link_.connected(),
                         .session = session_,
                         .in_force_generation = in_force_generation_,
                         .in_force_revision = in_force_revision_,
                         .own_addresses = dataplane_addresses_,
                         .links = port_links_};
  status.probes_open = probes_open_;
  status.no_probes = no_probes_;
  if (older_image_.has_value()) {
    for (const OlderImage::RangeFrontend& each : older_image_->left_out_frontends) {
      status.left_out_frontends.push_back(
          {each.service, each.frontend, FrontendLeftOutReason::kOlderDataplane});
    }
    status.services_without_reset = older_image_->services_without_reset;
    status.services_without_handshakes = older_image_->services_without_handshakes;
  }
  LogUnsupported(parts_.board->dataplane(), status);
  parts_.board->SetDataplane(status);
}

// Makes no image. The first image is made after the next Reconcile(), because the dataplane's own
// addresses may cause frontends to be left out.
void Publisher::OnConnect(const HelloMessage& hello) {
  CountCrashes(hello);
  dataplane_addresses_ = hello.own_addresses;
  const int64_t now_ms = parts_.clock->WallMs();
  const auto running_ms = static_cast<int64_t>(hello.running_us / 1000);
  dataplane_started_ms_.reset();
  if (hello.running_us != 0 && running_ms <= now_ms) dataplane_started_ms_ = now_ms - running_ms;
  port_links_.clear();
  CheckStore(hello);
  // No snapshot has a generation of kMaxGeneration or more, so such a value sets no lower limit.
  lowest_generation_ = hello.generation < kMaxGeneration ? hello.generation + 1 : 0;
  // This dataplane may need another format than the present image has.
  older_image_.reset();
  shared_image_.Forget();
  image_stale_ = true;
  in_force_generation_ = 0;
  in_force_revision_ = 0;
  refused_revision_ = 0;
  ++session_;
  reconnected_ = true;
  ask_for_probes_ = true;
  connected_.Notify();
  UpdateBoard();
}

// Counts how often a dataplane exited while it put the same change in force.
void Publisher::CountCrashes(const HelloMessage& hello) {
  if (publishing_instance_ == 0) return;
  // A dataplane of release 0.1.0 does not send a change id.
  const bool has_it = hello.change_id != 0 ? hello.change_id == publishing_change_id_
                                           : hello.generation == publishing_generation_;
  const bool crashed = hello.instance != publishing_instance_ && !has_it;
  publishing_instance_ = 0;
  if (!crashed) {
    crashes_ = 0;
    return;
  }
  crashes_ = std::exchange(crash_change_id_, publishing_change_id_) == publishing_change_id_
                 ? crashes_ + 1
                 : 1;
  if (crashes_ < kCrashesToHoldBack) return;
  Log(LogLevel::kError, "change_held_back",
      {{"generation", image_generation_}, {"dataplanes_ended", crashes_}});
}

bool Publisher::IsHeldBack() const {
  return crashes_ >= kCrashesToHoldBack && parts_.log->View()->change_id == crash_change_id_;
}

void Publisher::CheckStore(const HelloMessage& hello) {
  store_is_unknown_ =
      hello.change_id != 0 && !parts_.log->KnowsChange(hello.change_id, hello.generation);
  if (!store_is_unknown_) return;
  if (parts_.accept_older_store) {
    Log(LogLevel::kWarning, "older_store_accepted", {{"generation", hello.generation}});
    store_is_unknown_ = false;
    return;
  }
  error_ = "the dataplane has a change in force (generation " + std::to_string(hello.generation) +
           ") that this store does not have: the store is older, or another one. Nothing is "
           "published. Restore the right store; or, to replace what is in force, " +
           kHowToAcceptOlderStore;
  Log(LogLevel::kError, "store_is_older", {{"generation", hello.generation}});
}

void Publisher::OnDisconnect() {
  in_force_generation_ = 0;
  in_force_revision_ = 0;
  // Clear errors that concern the disconnected dataplane only.
  if (std::exchange(store_is_unknown_, false) || IsHeldBack()) error_.clear();
  older_image_.reset();
  port_links_.clear();
  probes_open_ = false;
  UpdateBoard();
  in_force_.Notify();
}

void Publisher::SetInForce(uint64_t generation, uint64_t revision) {
  in_force_generation_ = generation;
  in_force_revision_ = revision;
  UpdateBoard();
  in_force_.Notify();
}

void Publisher::Assemble(uint64_t generation) {
  image_differs_ = deriver_.Assemble(generation) || image_differs_;
  static_assert(kSnapshotVersion == 3, "an older dataplane reads version 2");
  if (link_.connected() && link_.hello().snapshot_version < kSnapshotVersion) {
    older_image_ = ToSnapshotVersion2(deriver_.image());
  } else {
    older_image_.reset();
  }
}

void Publisher::RefreshImage() {
  if (!image_stale_) return;
  const IntentView view = parts_.log->View();
  if (view->revision == 0) {
    // Nothing was ever configured. An empty state must never replace what is in force.
    image_stale_ = false;
    return;
  }
  deriver_.Update(view);
  uint64_t generation = parts_.generations->current();
  Assemble(generation);
  const bool differs = image_differs_ || generation != image_generation_;
  if (!differs && image_generation_ == in_force_generation_) {
    image_stale_ = false;
    return;
  }
  const HelloMessage* hello = link_.connected() ? &link_.hello() : nullptr;
  const bool dataplane_has_it =
      hello != nullptr && hello->generation == generation &&
      hello->snapshot_digest ==
          SnapshotView(older_image_ ? older_image_->image.bytes() : deriver_.image())
              .header()
              .digest;
  uint64_t lowest = dataplane_has_it || hello == nullptr ? 0 : lowest_generation_;
  // Only the status changed. The previous image may have been published with this generation, so
  // the new one needs another.
  if (differs && generation == image_generation_) lowest = generation + 1;
  if (generation < lowest) {
    generation = lowest;
    Assemble(generation);
  }
  parts_.generations->Raise(generation);
  image_generation_ = generation;
  image_revision_ = view->revision;
  image_differs_ = false;
  image_stale_ = false;
  if (dataplane_has_it && in_force_generation_ == 0) SetInForce(generation, image_revision_);
}

asio::awaitable<void> Publisher::WaitForStatusAfterStart() {
  while (!stopped_ && SteadyNow() < started_at_ + kStartGrace && !parts_.board->complete()) {
    // The dataplane has no configuration yet, so publishing early takes nothing out of service.
    if (link_.connected() && link_.hello().generation == 0) co_return;
    co_await changed_.Wait(started_at_ + kStartGrace);
  }
}

asio::awaitable<void> Publisher::PublishLoop() {
  // Also needed if SpawnLoop() started the loop again after it ran out of memory.
  publish_due_ = true;
  shared_image_.Forget();
  while (!stopped_) {
    if (!publish_due_) {
      // Without a dataplane nothing is published, not even when the kept flows of an unhealthy
      // backend expire (on_unhealthy: keep).
      const SteadyTime never = SteadyNow() + kLongTime;
      const SteadyTime expiry = link_.connected() ? deriver_.next_expiry().value_or(never) : never;
      const bool notified = co_await changed_.Wait(expiry);
      if (notified || SteadyNow() < expiry) continue;
      publish_due_ = true;
      image_stale_ = true;
      continue;
    }
    if (first_publish_) co_await WaitForStatusAfterStart();
    publish_due_ = false;
    co_await PublishOnce();
  }
}

asio::awaitable<void> Publisher::PublishOnce() {
  // Without a dataplane, only a request for `explain` makes the image (RefreshImage).
  if (!link_.connected()) co_return;
  RefreshImage();
  if (store_is_unknown_) co_return;
  if (IsHeldBack()) {
    error_ =
        "the last change is held back: the dataplane exited " + std::to_string(crashes_) +
        " times while it put the change in force. Undo or correct the change: fairleadd publishes "
        "again at the next change";
    in_force_.Notify();
    co_return;
  }
  if (image_generation_ == 0 || in_force_generation_ == image_generation_) {
    if (in_force_generation_ == image_generation_) error_.clear();
    co_return;
  }
  first_publish_ = false;
  SnapshotAssembler::Writes writes = deriver_.TakeWrites();
  writes.all = writes.all || older_image_.has_value();
  const Result<int> fd = shared_image_.Update(image(), writes);
  if (!fd.ok()) co_return co_await RetryLater("snapshot_not_sent", fd.status().message());
  const uint64_t generation = image_generation_;
  const PublishMessage message{generation, image().size()};
  const uint64_t revision = image_revision_;
  publishing_instance_ = link_.hello().instance;
  publishing_change_id_ = SnapshotView(deriver_.image()).header().change_id;
  publishing_generation_ = generation;
  const Result<PublishedMessage> published = co_await link_.Publish(message, *fd, kPublishTimeout);
  if (link_.connected() && link_.hello().instance == publishing_instance_) publishing_instance_ = 0;
  if (!published.ok()) {
    shared_image_.Forget();
    // If the link broke, the next OnConnect() makes the loop publish again. Otherwise this process
    // could not send the image.
    if (link_.connected()) co_await RetryLater("snapshot_not_sent", published.status().message());
    co_return;
  }
  if (published->in_force) {
    error_.clear();
    applied_us_ = published->apply_us;
    crashes_ = 0;
    lowest_generation_ = generation + 1;
    Log(LogLevel::kDebug, "published",
        {{"generation", generation}, {"bytes", message.image_bytes}, {"apply_us", applied_us_}});
    // Requests that wait for this generation show left-out backends, so read these first.
    if (published->left_out != 0 || parts_.board->dataplane_leaves_out()) co_await AskStats();
    if (!link_.connected()) co_return;
    SetInForce(generation, revision);
    co_return;
  }
  if (error_ != published->reason) {
    Log(LogLevel::kError, "snapshot_refused",
        {{"generation", generation}, {"reason", published->reason}});
  }
  // Perhaps the memfd's content is damaged, so the next image gets a new memfd.
  shared_image_.Forget();
  error_ = published->reason;
  refused_revision_ = revision;
  in_force_.Notify();
  if (publish_due_) co_return;
  co_await changed_.Wait(SteadyNow() + kRetryAfterRefusal);
  publish_due_ = true;
}

asio::awaitable<void> Publisher::RetryLater(std::string_view event, std::string why) {
  if (error_ != why) Log(LogLevel::kError, event, {{"reason", why}});
  error_ = std::move(why);
  co_await changed_.Wait(SteadyNow() + kRetryAfterRefusal);
  publish_due_ = true;
}

asio::awaitable<bool> Publisher::WaitInForce(uint64_t revision, milliseconds timeout) {
  const SteadyTime deadline = SteadyNow() + timeout;
  while (in_force_revision_ < revision) {
    if (stopped_ || store_is_unknown_ || IsHeldBack() || !link_.connected() ||
        refused_revision_ >= revision) {
      co_return false;
    }
    const bool notified = co_await in_force_.Wait(deadline);
    if (!notified) break;
  }
  co_return in_force_revision_ >= revision;
}

asio::awaitable<void> Publisher::StatsLoop() {
  SteadyTime last = SteadyNow();
  while (!stopped_) {
    const bool draining = parts_.board->running_drains() != 0;
    const SteadyTime next = last + (draining ? kStatsPeriodDraining : kStatsPeriod);
    if (SteadyNow() < next) {
      co_await ask_sooner_.Wait(next);
      continue;
    }
    last = SteadyNow();
    if (link_.connected()) co_await AskStats();
  }
}

asio::awaitable<void> Publisher::ProbesLoop() {
  while (!stopped_) {
    if (!link_.connected() || !std::exchange(ask_for_probes_, false)) {
      co_await connected_.Wait(SteadyNow() + kLongTime);
      continue;
    }
    if (!link_.hello().makes_probes) {
      SetProbes(false, "the dataplane is of an older release; restart it");
      continue;
    }
    const Result<ProbesMessage> answer =
        co_await link_.OpenProbes(parts_.probe_targets_fd, kPublishTimeout);
    if (answer.ok()) {
      SetProbes(answer->open, answer->reason);
      continue;
    }
    // If the link broke, the next OnConnect() asks again.
    ask_for_probes_ = link_.connected();
    co_await connected_.Wait(SteadyNow() + kRetryAfterRefusal);
  }
}

void Publisher::SetProbes(bool open, std::string why_not) {
  probes_open_ = open;
  no_probes_ = open ? "" : std::move(why_not);
  UpdateBoard();
}

asio::awaitable<void> Publisher::AskStats() {
  const SteadyTime asked_at = parts_.clock->Steady();
  const int64_t asked_at_ms = parts_.clock->WallMs();
  // Reuse the memory of the statistics before the last, unless they are still in use.
  DataplaneStats memory;
  if (spare_stats_.use_count() == 1) memory = std::move(spare_stats_->stats);
  Result<DataplaneStats> stats = co_await link_.GetStats(kStatsTimeout, &memory);
  if (!stats.ok()) {
    if (std::exchange(stats_error_, stats.status().message()) != stats.status().message()) {
      Log(LogLevel::kWarning, "no_statistics", {{"reason", stats_error_}});
    }
    co_return;
  }
  stats_error_.clear();
  const auto book = std::make_shared<StatsBook>();
  book->at_ms = asked_at_ms;
  book->stats = *std::move(stats);
  spare_stats_ = std::exchange(stats_, book);
  UpdateLeftOut(book->stats);
  UpdateLinks(book->stats, asked_at_ms);
  if (parts_.on_stats) parts_.on_stats(book->stats, asked_at);
  WatchConflicts(book->stats.totals, asked_at);
}

void Publisher::UpdateLeftOut(const DataplaneStats& stats) {
  LeftOutBackends left_out;
  for (const BackendStats& backend : stats.backends) {
    if (backend.left_out != LeftOut::kNo) left_out[backend.id] = backend.left_out;
  }
  const std::vector<uint32_t> changed = parts_.board->SetLeftOut(left_out);
  size_t count = 0;
  for (const uint32_t id : changed) {
    const BackendStatus* backend = parts_.board->Find(id);
    const bool is_out = backend->left_out != LeftOut::kNo;
    if (++count > kMaxLeftOutLogged) continue;
    Log(is_out ? LogLevel::kWarning : LogLevel::kInfo,
        is_out ? "backend_left_out" : "backend_in_use_again",
        {{"service", backend->service},
         {"backend", backend->endpoint.ToString()},
         {"reason", is_out ? std::string(LeftOutText(backend->left_out)) : ""}});
  }
  if (count > kMaxLeftOutLogged) {
    Log(LogLevel::kWarning, "more_verdicts", {{"backends", count - kMaxLeftOutLogged}});
  }
}

void Publisher::UpdateLinks(const DataplaneStats& stats, int64_t at_ms) {
  if (!link_.connected()) return;
  std::vector<PortLink> links;
  for (const PortStats& port : stats.ports) {
    if (!port.link.has_value()) continue;
    const auto for_ms = static_cast<int64_t>(
        std::min<uint64_t>(port.link->for_ms, static_cast<uint64_t>(std::max<int64_t>(at_ms, 0))));
    PortLink link{.port = port.name,
                  .interface = port.interface,
                  .is_up = port.link->is_up,
                  .since_ms = at_ms - for_ms,
                  .changes = port.link->changes,
                  .speed_mbps = port.link->speed_mbps};
    const auto before = std::ranges::find(port_links_, port.name, &PortLink::port);
    const bool is_new = before == port_links_.end();
    if (!is_new && before->is_up == link.is_up && before->changes == link.changes) {
      link.since_ms = before->since_ms;  // computed again, it would differ by some milliseconds
    } else if (!is_new || !link.is_up) {
      Log(link.is_up ? LogLevel::kInfo : LogLevel::kWarning,
          link.is_up ? "port_link_up" : "port_link_down",
          {{"port", link.port}, {"interface", link.interface}, {"changes", link.changes}});
    }
    links.push_back(std::move(link));
  }
  if (links == port_links_) return;
  port_links_ = std::move(links);
  UpdateBoard();
}

void Publisher::WatchConflicts(const PacketTotals& totals, SteadyTime now) {
  const uint64_t total = totals.drops[static_cast<size_t>(DropReason::k_address_conflict)];
  const std::optional<uint64_t> announcements = conflicts_.Observe(total, now);
  if (!announcements.has_value()) return;
  Log(LogLevel::kWarning, "address_conflict",
      {{"announcements", *announcements},
       {"total", total},
       {"reason",
        "another host announces a frontend's address as its own; remove the address from it"}});
}

}  // namespace fairlead
