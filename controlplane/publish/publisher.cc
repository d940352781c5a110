#include "controlplane/publish/publisher.h"

#include <algorithm>
#include <bit>

#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/log.h"
#include "controlplane/core/status_text.h"
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
constexpr std::chrono::hours kLongTime{1};
constexpr size_t kMostVerdictsTold = 10;  // by name, of one answer

SteadyTime Now() { return std::chrono::steady_clock::now(); }

// What a dataplane of an older release does not know, where that changed.
void LogUnsupported(const DataplaneStatus& before, const DataplaneStatus& now) {
  for (const LeftOutFrontend& each : now.left_out_frontends) {
    if (std::ranges::find(before.left_out_frontends, each) != before.left_out_frontends.end()) {
      continue;
    }
    Log(LogLevel::kWarning, "frontend_left_out",
        {{"service", each.service},
         {"frontend", each.frontend.ToString()},
         {"reason", HindranceText(each)}});
  }
  for (const std::string& service : now.services_without_reset) {
    if (std::ranges::find(before.services_without_reset, service) !=
        before.services_without_reset.end()) {
      continue;
    }
    Log(LogLevel::kWarning, "setting_not_supported",
        {{"service", service}, {"field", "on_no_backend"}});
  }
}

// `places` is made when it is first asked: an open-addressing table, 2^n, at most half full, of indices
// plus one.
template <typename Stats>
const Stats* FindIn(const std::vector<Stats>& all, uint32_t id, std::vector<uint32_t>* places) {
  if (all.empty()) return nullptr;
  const auto home = [&](uint32_t of) { return (of * 0x9e3779b97f4a7c15) >> 32; };
  if (places->empty()) {
    places->resize(std::bit_ceil(all.size() * 2));
    for (uint32_t i = 0; i < all.size(); ++i) {
      uint64_t at = home(all[i].id) & (places->size() - 1);
      while ((*places)[at] != 0) at = (at + 1) & (places->size() - 1);
      (*places)[at] = i + 1;
    }
  }
  for (uint64_t at = home(id);; ++at) {
    const uint32_t place = (*places)[at & (places->size() - 1)];
    if (place == 0) return nullptr;
    if (all[place - 1].id == id) return &all[place - 1];
  }
}

}  // namespace

const BackendStats* StatsBook::FindBackend(uint32_t id) const {
  return FindIn(stats.backends, id, &backend_places_);
}

const ServiceStats* StatsBook::FindService(uint32_t id) const {
  return FindIn(stats.services, id, &service_places_);
}

Publisher::Publisher(asio::any_io_executor executor, std::string link_path, Parts parts)
    : executor_(executor),
      parts_(std::move(parts)),
      link_(executor, std::move(link_path),
            {[this](const HelloMessage& hello) { OnConnect(hello); }, [this] { OnDisconnect(); }}),
      changed_(executor),
      ask_sooner_(executor),
      in_force_(executor),
      deriver_(parts_.board, parts_.clock) {}

void Publisher::Start() {
  started_at_ = Now();
  link_.Start();
  SpawnLoop(executor_, "publish", [this] { return PublishLoop(); });
  SpawnLoop(executor_, "stats", [this] { return StatsLoop(); });
}

void Publisher::Stop() {
  stopped_ = true;
  link_.Stop();
  changed_.Notify();
  ask_sooner_.Notify();
  in_force_.Notify();
}

void Publisher::Reconcile() {
  const uint64_t revision = parts_.log->View()->revision;
  const StatusBoard& board = *parts_.board;
  const bool changed = revision != seen_revision_ || board.next_change() != seen_change_ ||
                       board.global_changes() != seen_global_change_;
  if (changed || reconnected_) {
    dirty_ = true;
    stale_ = true;
  }
  reconnected_ = false;
  seen_revision_ = revision;
  seen_change_ = board.next_change();
  seen_global_change_ = board.global_changes();
  changed_.Notify();
  if (board.running_drains() != 0) ask_sooner_.Notify();
}

void Publisher::TellBoard() {
  DataplaneStatus status{.connected = link_.connected(),
                         .session = session_,
                         .in_force_generation = in_force_generation_,
                         .in_force_revision = in_force_revision_,
                         .own_addresses = dataplane_addresses_};
  if (older_image_.has_value()) {
    for (const OlderImage::RangeFrontend& each : older_image_->left_out_frontends) {
      status.left_out_frontends.push_back(
          {each.service, each.frontend, FrontendHindrance::kOlderDataplane});
    }
    status.services_without_reset = older_image_->services_without_reset;
  }
  LogUnsupported(parts_.board->dataplane(), status);
  parts_.board->SetDataplane(status);
}

// What the dataplane's own addresses lead to comes before the first image: that is made after the
// next Reconcile().
void Publisher::OnConnect(const HelloMessage& hello) {
  JudgeDeath(hello);
  dataplane_addresses_ = hello.own_addresses;
  JudgeStore(hello);
  // One that is beyond all that is ever made is taken for none: it goes with any image.
  lowest_generation_ = hello.generation < kMaxGeneration ? hello.generation + 1 : 0;
  // What comes next may be of another format than the image at hand.
  older_image_.reset();
  shared_image_.Forget();
  stale_ = true;
  in_force_generation_ = 0;
  in_force_revision_ = 0;
  refused_revision_ = 0;
  ++session_;
  reconnected_ = true;
  TellBoard();
}

// Did the dataplane end while it brought a change into force?
void Publisher::JudgeDeath(const HelloMessage& hello) {
  if (publishing_instance_ == 0) return;
  // A dataplane of release 0.1.0 tells no change.
  const bool has_it = hello.change_id != 0 ? hello.change_id == publishing_change_
                                           : hello.generation == publishing_generation_;
  const bool died = hello.instance != publishing_instance_ && !has_it;
  publishing_instance_ = 0;
  if (!died) {
    deaths_ = 0;
    return;
  }
  deaths_ =
      std::exchange(deadly_change_, publishing_change_) == publishing_change_ ? deaths_ + 1 : 1;
  if (deaths_ < kDeathsToHoldBack) return;
  Log(LogLevel::kError, "change_held_back",
      {{"generation", image_generation_}, {"dataplanes_ended", deaths_}});
}

bool Publisher::IsHeldBack() const {
  return deaths_ >= kDeathsToHoldBack && parts_.log->View()->change_id == deadly_change_;
}

void Publisher::JudgeStore(const HelloMessage& hello) {
  withheld_ = hello.change_id != 0 && !parts_.log->KnowsChange(hello.change_id, hello.generation);
  if (!withheld_) return;
  if (parts_.accept_older_store) {
    Log(LogLevel::kWarning, "older_store_accepted", {{"generation", hello.generation}});
    withheld_ = false;
    return;
  }
  error_ = "the dataplane forwards by a change (generation " + std::to_string(hello.generation) +
           ") that this store does not have: it is older, or another one, and nothing of it is "
           "published. Restore the right one, or start fairleadd with --accept-older-store to "
           "replace what is in force";
  Log(LogLevel::kError, "store_is_older", {{"generation", hello.generation}});
}

void Publisher::OnDisconnect() {
  in_force_generation_ = 0;
  in_force_revision_ = 0;
  // What was said of that dataplane.
  if (std::exchange(withheld_, false) || IsHeldBack()) error_.clear();
  older_image_.reset();
  TellBoard();
  in_force_.Notify();
}

void Publisher::InForce(uint64_t generation, uint64_t revision) {
  in_force_generation_ = generation;
  in_force_revision_ = revision;
  TellBoard();
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

void Publisher::Refresh() {
  if (!stale_) return;
  const IntentView view = parts_.log->View();
  if (view->revision == 0) {
    // Nothing was ever said about what to forward: an empty state never replaces a good one.
    stale_ = false;
    return;
  }
  deriver_.Update(view);
  uint64_t generation = parts_.generations->current();
  Assemble(generation);
  const bool differs = image_differs_ || generation != image_generation_;
  if (!differs && image_generation_ == in_force_generation_) {
    stale_ = false;
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
  // What was observed changed, and the generation with the old content may have been published.
  if (differs && generation == image_generation_) lowest = generation + 1;
  if (generation < lowest) {
    generation = lowest;
    Assemble(generation);
  }
  parts_.generations->Raise(generation);
  image_generation_ = generation;
  image_revision_ = view->revision;
  image_differs_ = false;
  stale_ = false;
  if (dataplane_has_it && in_force_generation_ == 0) InForce(generation, image_revision_);
}

asio::awaitable<void> Publisher::HoldAfterStart() {
  while (!stopped_ && Now() < started_at_ + kStartGrace && !parts_.board->settled()) {
    // A dataplane that has nothing yet has nothing to lose.
    if (link_.connected() && link_.hello().generation == 0) co_return;
    co_await changed_.Wait(started_at_ + kStartGrace);
  }
}

asio::awaitable<void> Publisher::PublishLoop() {
  // Also where the loop begins anew, in the middle of something.
  dirty_ = true;
  shared_image_.Forget();
  while (!stopped_) {
    if (!dirty_) {
      // Without a dataplane nothing is published, also when some time is up.
      const SteadyTime never = Now() + kLongTime;
      const SteadyTime expiry = link_.connected() ? deriver_.next_expiry().value_or(never) : never;
      const bool notified = co_await changed_.Wait(expiry);
      if (notified || Now() < expiry) continue;
      dirty_ = true;
      stale_ = true;
      continue;
    }
    if (first_publish_) co_await HoldAfterStart();
    dirty_ = false;
    co_await PublishOnce();
  }
}

asio::awaitable<void> Publisher::PublishOnce() {
  // Without a dataplane the image is made when somebody asks what it would say.
  if (!link_.connected()) co_return;
  Refresh();
  if (withheld_) co_return;
  if (IsHeldBack()) {
    error_ = "the last change is held back: the dataplane ended " + std::to_string(deaths_) +
             " times while it was put into force. It is tried again with the next change";
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
  publishing_change_ = SnapshotView(deriver_.image()).header().change_id;
  publishing_generation_ = generation;
  const Result<PublishedMessage> published = co_await link_.Publish(message, *fd, kPublishTimeout);
  if (link_.connected() && link_.hello().instance == publishing_instance_) publishing_instance_ = 0;
  if (!published.ok()) {
    shared_image_.Forget();
    // Where the link broke, OnConnect() starts anew. Else this process could not send it now.
    if (link_.connected()) co_await RetryLater("snapshot_not_sent", published.status().message());
    co_return;
  }
  if (published->in_force) {
    error_.clear();
    applied_us_ = published->apply_us;
    deaths_ = 0;
    lowest_generation_ = generation + 1;
    Log(LogLevel::kDebug, "published",
        {{"generation", generation}, {"bytes", message.image_bytes}, {"apply_us", applied_us_}});
    // Who waits for the generation is to know what it does not do.
    if (published->left_out != 0 || !parts_.board->left_out().empty()) co_await AskStats();
    if (!link_.connected()) co_return;
    InForce(generation, revision);
    co_return;
  }
  if (error_ != published->reason) {
    Log(LogLevel::kError, "snapshot_refused",
        {{"generation", generation}, {"reason", published->reason}});
  }
  // Should it be the memory that is wrong, the next image is in another one.
  shared_image_.Forget();
  error_ = published->reason;
  refused_revision_ = revision;
  in_force_.Notify();
  if (dirty_) co_return;
  co_await changed_.Wait(Now() + kRetryAfterRefusal);
  dirty_ = true;
}

asio::awaitable<void> Publisher::RetryLater(std::string_view event, std::string why) {
  if (error_ != why) Log(LogLevel::kError, event, {{"reason", why}});
  error_ = std::move(why);
  co_await changed_.Wait(Now() + kRetryAfterRefusal);
  dirty_ = true;
}

asio::awaitable<bool> Publisher::WaitInForce(uint64_t revision, milliseconds timeout) {
  const SteadyTime deadline = Now() + timeout;
  while (in_force_revision_ < revision) {
    if (stopped_ || withheld_ || IsHeldBack() || !link_.connected() ||
        refused_revision_ >= revision) {
      co_return false;
    }
    const bool notified = co_await in_force_.Wait(deadline);
    if (!notified) break;
  }
  co_return in_force_revision_ >= revision;
}

asio::awaitable<void> Publisher::StatsLoop() {
  SteadyTime last = Now();
  while (!stopped_) {
    const bool draining = parts_.board->running_drains() != 0;
    const SteadyTime next = last + (draining ? kStatsPeriodDraining : kStatsPeriod);
    if (Now() < next) {
      co_await ask_sooner_.Wait(next);
      continue;
    }
    last = Now();
    if (link_.connected()) co_await AskStats();
  }
}

asio::awaitable<void> Publisher::AskStats() {
  const SteadyTime asked_at = parts_.clock->Steady();
  const int64_t asked_at_ms = parts_.clock->WallMs();
  // Nobody looks at those before the last.
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
  TakeVerdicts(book->stats);
  if (parts_.on_stats) parts_.on_stats(book->stats, asked_at);
  WatchConflicts(book->stats.totals, asked_at);
}

void Publisher::TakeVerdicts(const DataplaneStats& stats) {
  LeftOutBackends left_out;
  for (const BackendStats& backend : stats.backends) {
    if (backend.left_out != LeftOut::kNo) left_out[backend.id] = backend.left_out;
  }
  const std::vector<uint32_t> changed = parts_.board->SetLeftOut(left_out);
  size_t told = 0;
  for (const uint32_t id : changed) {
    const BackendStatus* backend = parts_.board->Find(id);
    const bool is_out = backend->left_out != LeftOut::kNo;
    if (++told > kMostVerdictsTold) continue;
    Log(is_out ? LogLevel::kWarning : LogLevel::kInfo,
        is_out ? "backend_left_out" : "backend_in_use_again",
        {{"service", backend->service},
         {"backend", backend->endpoint.ToString()},
         {"reason", is_out ? std::string(LeftOutText(backend->left_out)) : ""}});
  }
  if (told > kMostVerdictsTold) {
    Log(LogLevel::kWarning, "more_verdicts", {{"backends", told - kMostVerdictsTold}});
  }
}

void Publisher::WatchConflicts(const PacketTotals& totals, SteadyTime now) {
  const uint64_t total = totals.drops[static_cast<size_t>(DropReason::k_address_conflict)];
  const std::optional<uint64_t> announcements = conflicts_.Observe(total, now);
  if (!announcements.has_value()) return;
  Log(LogLevel::kWarning, "address_conflict",
      {{"announcements", *announcements},
       {"total", total},
       {"reason", "another station announces a frontend's address as its own"}});
}

}  // namespace fairlead
