#include "controlplane/publish/publisher.h"

#include <algorithm>
#include <cstring>

#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/log.h"

namespace fairlead {
namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kPublishTimeout{10'000};
constexpr milliseconds kRetryAfterRefusal{1000};
constexpr milliseconds kRetryStore{1000};
constexpr milliseconds kStatsPeriod{1000};
constexpr milliseconds kStatsPeriodDraining{200};
constexpr milliseconds kStatsTimeout{1000};
constexpr milliseconds kSettlePoll{20};
constexpr size_t kMostVerdictsTold = 10;  // by name, of one answer

SnapshotHeader HeaderOf(const SnapshotImage& image) {
  SnapshotHeader header;
  CHECK(image.bytes().size() >= sizeof(header));
  std::memcpy(&header, image.bytes().data(), sizeof(header));
  return header;
}

bool SameBytes(const SnapshotImage& a, const SnapshotImage& b) {
  return std::ranges::equal(a.bytes(), b.bytes());
}

SteadyTime Now() { return std::chrono::steady_clock::now(); }

}  // namespace

Publisher::Publisher(asio::any_io_executor executor, std::string link_path, Parts parts)
    : executor_(executor),
      parts_(std::move(parts)),
      link_(executor, std::move(link_path),
            {[this](const HelloMessage& hello) { OnConnect(hello); }, [this] { OnDisconnect(); }}),
      changed_(executor),
      drains_changed_(executor),
      in_force_(executor) {}

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
  drains_changed_.Notify();
  in_force_.Notify();
}

void Publisher::Kick() {
  dirty_ = true;
  stale_ = true;
  changed_.Notify();
  if (parts_.drains->any_running()) drains_changed_.Notify();
}

void Publisher::OnConnect(const HelloMessage& hello) {
  JudgeDeath(hello);
  dataplane_addresses_ = hello.own_addresses;
  JudgeStore(hello);
  if (parts_.connected) parts_.connected();
  // One that is beyond all that is ever made is taken for none: it goes with any image.
  lowest_generation_ = hello.generation < kMaxGeneration ? hello.generation + 1 : 0;
  in_force_generation_ = 0;
  refused_generation_ = 0;
  dirty_ = true;
  stale_ = true;
  changed_.Notify();
}

// Did the dataplane end while it brought a change into force?
void Publisher::JudgeDeath(const HelloMessage& hello) {
  if (publishing_instance_ == 0) return;
  const bool died = hello.instance != publishing_instance_ && hello.change_id != publishing_change_;
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
  return deaths_ >= kDeathsToHoldBack && parts_.registry->change_id() == deadly_change_;
}

void Publisher::JudgeStore(const HelloMessage& hello) {
  const Result<bool> known = hello.change_id == 0
                                 ? Result<bool>(true)
                                 : parts_.registry->KnowsChange(hello.change_id, hello.generation);
  withheld_ = !known.ok() || !*known;
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
  if (!known.ok()) error_ += " (" + known.status().message() + ")";
  Log(LogLevel::kError, "store_is_older", {{"generation", hello.generation}});
}

void Publisher::OnDisconnect() {
  in_force_generation_ = 0;
  // What was said of that dataplane.
  if (std::exchange(withheld_, false) || IsHeldBack()) error_.clear();
  parts_.drains->OnDisconnect();
  in_force_.Notify();
}

void Publisher::InForce(uint64_t generation) {
  in_force_generation_ = generation;
  parts_.drains->OnInForce(generation);
  in_force_.Notify();
}

Status Publisher::Refresh() {
  if (!stale_) return {};
  if (!parts_.registry->ever_configured()) {
    // Nothing was ever said about what to forward: an empty state never replaces a good one.
    stale_ = false;
    return {};
  }
  uint64_t generation = parts_.registry->generation();
  ASSIGN_OR_RETURN(SnapshotImage image, BuildSnapshot(parts_.registry->Derive(generation)));
  const bool same = image_ != nullptr && SameBytes(image, *image_);
  if (same && image_generation_ == in_force_generation_) {
    stale_ = false;
    StoreObserved(generation);
    return {};
  }
  const HelloMessage* hello = link_.connected() ? &link_.hello() : nullptr;
  const bool dataplane_has_it = hello != nullptr && hello->generation == generation &&
                                hello->snapshot_digest == HeaderOf(image).digest;
  uint64_t lowest = dataplane_has_it || hello == nullptr ? 0 : lowest_generation_;
  // What was observed changed, and the generation with the old content may have been published.
  if (!same && image_ != nullptr && generation == image_generation_) lowest = generation + 1;
  if (generation < lowest) {
    generation = lowest;
    ASSIGN_OR_RETURN(image, BuildSnapshot(parts_.registry->Derive(generation)));
  }
  StoreObserved(generation);
  image_ = std::make_shared<SnapshotImage>(std::move(image));
  image_generation_ = generation;
  stale_ = false;
  if (dataplane_has_it && in_force_generation_ == 0) InForce(generation);
  return {};
}

void Publisher::StoreObserved(uint64_t generation) {
  const Status stored = parts_.registry->Flush(generation);
  if (!stored.ok() && store_error_ != stored.message()) {
    Log(LogLevel::kError, "observations_not_stored", {{"reason", stored.message()}});
  } else if (stored.ok() && !store_error_.empty()) {
    Log(LogLevel::kInfo, "observations_stored");
  }
  store_error_ = stored.message();
}

asio::awaitable<void> Publisher::HoldAfterStart() {
  asio::steady_timer timer(executor_);
  while (!stopped_ && Now() < started_at_ + kStartGrace && !parts_.settled()) {
    // A dataplane that has nothing yet has nothing to lose.
    if (link_.connected() && link_.hello().generation == 0) co_return;
    co_await SleepUntil(&timer, Now() + kSettlePoll);
  }
}

asio::awaitable<void> Publisher::PublishLoop() {
  dirty_ = true;  // also where the loop begins anew, in the middle of something
  while (!stopped_) {
    if (!dirty_) {
      const bool unstored = !store_error_.empty();
      co_await changed_.Wait(Now() +
                             (unstored ? kRetryStore : milliseconds(std::chrono::hours(1))));
      if (unstored) StoreObserved(0);
      continue;
    }
    if (first_publish_) co_await HoldAfterStart();
    dirty_ = false;
    co_await PublishOnce();
  }
}

asio::awaitable<void> Publisher::PublishOnce() {
  // Nobody to publish to: what was observed is stored, and the image is made when somebody connects
  // (or asks what it would say).
  Status status;
  if (link_.connected()) {
    status = Refresh();
  } else {
    StoreObserved(0);
  }
  if (!status.ok()) co_return co_await RetryLater("snapshot_not_made", status.message());
  if (withheld_) co_return;
  if (IsHeldBack()) {
    error_ = "the last change is held back: the dataplane ended " + std::to_string(deaths_) +
             " times while it was put into force. It is tried again with the next change";
    in_force_.Notify();
    co_return;
  }
  if (!link_.connected() || image_ == nullptr || in_force_generation_ == image_generation_) {
    if (in_force_generation_ == image_generation_) error_.clear();
    co_return;
  }
  first_publish_ = false;
  const std::shared_ptr<const SnapshotImage> image = image_;
  const uint64_t generation = image_generation_;
  publishing_instance_ = link_.hello().instance;
  publishing_change_ = HeaderOf(*image).change_id;
  const Result<PublishedMessage> published =
      co_await link_.Publish(generation, image->bytes(), kPublishTimeout);
  if (link_.connected() && link_.hello().instance == publishing_instance_) publishing_instance_ = 0;
  if (!published.ok()) {
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
        {{"generation", generation}, {"bytes", image->bytes().size()}, {"apply_us", applied_us_}});
    // Who waits for the generation is to know what it does not do.
    if (published->left_out != 0 || !parts_.registry->left_out().empty()) co_await AskStats();
    if (!link_.connected()) co_return;
    InForce(generation);
    co_return;
  }
  if (error_ != published->reason) {
    Log(LogLevel::kError, "snapshot_refused",
        {{"generation", generation}, {"reason", published->reason}});
  }
  error_ = published->reason;
  refused_generation_ = generation;
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

asio::awaitable<bool> Publisher::WaitInForce(uint64_t generation, milliseconds timeout) {
  const SteadyTime deadline = Now() + timeout;
  while (in_force_generation_ < generation) {
    if (stopped_ || withheld_ || IsHeldBack() || !link_.connected() ||
        refused_generation_ >= generation) {
      co_return false;
    }
    const bool notified = co_await in_force_.Wait(deadline);
    if (!notified) break;
  }
  co_return in_force_generation_ >= generation;
}

asio::awaitable<void> Publisher::StatsLoop() {
  SteadyTime last = Now();
  while (!stopped_) {
    const bool draining = parts_.drains->any_running();
    const SteadyTime next = last + (draining ? kStatsPeriodDraining : kStatsPeriod);
    if (Now() < next) {
      co_await drains_changed_.Wait(next);
      continue;
    }
    last = Now();
    if (link_.connected()) co_await AskStats();
    if (stopped_) co_return;
    parts_.drains->Tick();
    if (parts_.registry->KeptFlowsRunOut()) Kick();
  }
}

asio::awaitable<void> Publisher::AskStats() {
  const SteadyTime asked_at = parts_.clock->Steady();
  Result<DataplaneStats> stats = co_await link_.GetStats(kStatsTimeout);
  if (!stats.ok()) {
    if (std::exchange(stats_error_, stats.status().message()) != stats.status().message()) {
      Log(LogLevel::kWarning, "no_statistics", {{"reason", stats_error_}});
    }
    co_return;
  }
  stats_error_.clear();
  const auto book = std::make_shared<StatsBook>();
  book->stats = *std::move(stats);
  for (const BackendStats& backend : book->stats.backends) book->backends[backend.id] = &backend;
  for (const ServiceStats& service : book->stats.services) book->services[service.id] = &service;
  stats_ = book;
  TakeVerdicts(book->stats);
  parts_.drains->OnStats(book->stats, asked_at);
  WatchConflicts(book->stats.totals, asked_at);
}

void Publisher::TakeVerdicts(const DataplaneStats& stats) {
  LeftOutBackends left_out;
  for (const BackendStats& backend : stats.backends) {
    if (backend.left_out != LeftOut::kNo) left_out[backend.id] = backend.left_out;
  }
  const auto changed = parts_.registry->SetLeftOut(left_out);
  size_t told = 0;
  for (const BackendRuntime* backend : changed) {
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
  // Whether a service fails open may depend on it.
  if (!changed.empty()) Kick();
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
