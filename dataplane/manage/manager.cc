#include "dataplane/manage/manager.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <random>
#include <thread>

#include <spdlog/spdlog.h>

#include "dataplane/manage/image_file.h"
#include "lib/snapshot/view.h"

namespace fairlead {
namespace {

constexpr std::chrono::milliseconds kSweepPeriod{1000};
// How long a change waits for an overdue sweep. It must be shorter than the control plane waits for
// any answer (statistics: 1 s). It is enough for about 25M records (Sweeper::kSliceBuckets).
constexpr std::chrono::milliseconds kLongestSweepWait{400};
constexpr int kLongestWaitMs = 1000;
constexpr size_t kSmallImageBytes = 256 * 1024;  // takes 0.1 ms to write
constexpr std::chrono::milliseconds kQuietBeforeSaving{100};
constexpr std::chrono::milliseconds kLongestUnsaved{3000};
constexpr int kIdleCheckMs = 20;  // precision of --exit-when-idle
constexpr size_t kMaxReasonBytes = 1024;
constexpr std::chrono::milliseconds kMemoryPause{100};  // after an allocation failed

void DescribeSlot(const ForwardingTables& tables, const ServiceEntry& service, uint64_t tag,
                  FlowMessage* reply) {
  const Slot slot =
      service.slot_table->Load(SlotIndex({tag ^ service.salt.low, 0}, service.slot_count));
  const auto id_of = [&](uint16_t owner) {
    return owner == kNoOwner ? 0 : tables.backends()[service.first_backend + owner].id;
  };
  reply->slot_known = true;
  reply->slot_state = static_cast<uint8_t>(slot.state);
  reply->current_id = id_of(slot.current);
  reply->stable_id = id_of(slot.stable);
}

// HelloMessage::instance: one of 2^64 - 1 numbers, so that no two processes have the same.
uint64_t RandomInstance() {
  std::random_device device;
  return std::uniform_int_distribution<uint64_t>(1)(device);
}

uint64_t MillisecondsSince(std::chrono::steady_clock::time_point start) {
  const auto elapsed = std::chrono::steady_clock::now() - start;
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(elapsed).count());
}

}  // namespace

Manager::Manager(Environment environment)
    : environment_(std::move(environment)),
      instance_(RandomInstance()),
      publisher_(environment_.publisher),
      sweeper_(environment_.flows),
      started_(SteadyClock::now()),
      running_since_(started_),
      swept_(started_),
      next_sweep_(started_ + kSweepPeriod) {}

Result<TablePublisher::Outcome> Manager::Apply(SnapshotImage image,
                                               const SnapshotDifference* difference) {
  FinishOverdueSweep();
  Result<TablePublisher::Outcome> outcome = [&] {
    const std::lock_guard lock(mutex_);
    const ForwardingTables* const before = publisher_.tables();
    // A running sweep has pointers into the old tables, so it stops. A new one starts at once,
    // since drains wait for the counts. After a refusal the sweep continues: refused images may
    // arrive faster than a sweep ends.
    const auto restart_sweep = [&] {
      if (publisher_.tables() == before) return;
      sweeper_.Stop();
      next_sweep_ = SteadyClock::now();
    };
    try {
      Result<TablePublisher::Outcome> published =
          publisher_.Publish(std::move(image), environment_.now_tick(), difference);
      restart_sweep();
      return published;
    } catch (const std::bad_alloc&) {
      sweeper_.Stop();
      restart_sweep();
      throw;
    }
  }();
  if (!outcome.ok()) return outcome;
  spdlog::info(
      "generation {} is in force: {} services built, {} unchanged, {} slots changed, {} backends "
      "left out, applied in {} us",
      outcome->generation, outcome->build.services_rebuilt, outcome->build.services_shared,
      outcome->build.slots_changed, outcome->build.backends_left_out, outcome->apply_us);
  return outcome;
}

void Manager::ScheduleSave() {
  const auto now = SteadyClock::now();
  if (!std::exchange(unsaved_, true)) save_latest_ = now + kLongestUnsaved;
  const bool is_large = publisher_.image().size() > kSmallImageBytes;
  save_due_ = is_large ? std::min(now + kQuietBeforeSaving, save_latest_) : now;
}

int Manager::SaveWhenDue() {
  if (!unsaved_) return kLongestWaitMs;
  const auto rest =
      std::chrono::ceil<std::chrono::milliseconds>(save_due_ - SteadyClock::now()).count();
  if (rest > 0) return static_cast<int>(rest);
  SaveImage();
  return kLongestWaitMs;
}

void Manager::SaveImage() {
  if (!unsaved_ || !environment_.last_image_path) return;
  const Status stored = StoreImageFile(*environment_.last_image_path, publisher_.image());
  unsaved_ = false;
  if (stored.ok()) return;
  const bool has_older = LoadSavedImage(*environment_.last_image_path).ok();
  spdlog::warn("generation {} is in force, but not saved: {}; a restart would start {}",
               SnapshotView(publisher_.image()).header().generation, stored.message(),
               has_older ? "with an older generation" : "without a snapshot");
}

void Manager::Run(int signal_fd, std::optional<uint32_t> idle_exit_ms) {
  running_since_ = SteadyClock::now();
  while (true) {
    try {
      RunLoop(signal_fd, idle_exit_ms);
      SaveImage();
      return;
    } catch (const std::bad_alloc&) {
      // The current request is lost. Forwarding and this loop continue.
      std::this_thread::sleep_for(kMemoryPause);
    }
  }
}

void Manager::RunLoop(int signal_fd, std::optional<uint32_t> idle_exit_ms) {
  std::vector<pollfd> fds;
  while (true) {
    int wait_ms = std::min(SweepSome(), SaveWhenDue());
    if (environment_.step) wait_ms = std::min(wait_ms, environment_.step());
    if (environment_.each_second && SteadyClock::now() >= next_second_) {
      environment_.each_second();
      next_second_ = SteadyClock::now() + std::chrono::seconds(1);
    }
    if (idle_exit_ms) {
      if (environment_.idle_ms() >= *idle_exit_ms) return;
      wait_ms = std::min(wait_ms, kIdleCheckMs);
    }
    fds.clear();
    fds.push_back({signal_fd, POLLIN, 0});
    fds.push_back({environment_.probes == nullptr ? -1 : environment_.probes->fd(), POLLIN, 0});
    if (link_) link_->AddPollFds(&fds);
    if (poll(fds.data(), fds.size(), wait_ms) <= 0) continue;
    if (fds[0].revents != 0) return;
    if (fds[1].revents != 0) environment_.probes->Serve(publisher_.tables());
    if (link_) link_->Serve(this);
  }
}

void Manager::FinishOverdueSweep() {
  const auto start = SteadyClock::now();
  if (start - swept_ < environment_.sweep_overdue) return;
  do {
    SweepSome();
  } while (sweeper_.is_running() && SteadyClock::now() - start < kLongestSweepWait);
}

int Manager::SweepSome() {
  const std::lock_guard lock(mutex_);
  const auto now = SteadyClock::now();
  if (!sweeper_.is_running() && now >= next_sweep_) {
    BeginSweep();
  }
  if (sweeper_.is_running()) {
    if (!sweeper_.Step(environment_.now_tick())) return 0;
    if (sweeper_.slots_changed() && environment_.slots_changed) {
      environment_.slots_changed(*publisher_.tables());
    }
    swept_ = SteadyClock::now();
    next_sweep_ = swept_ + kSweepPeriod;
  }
  const auto rest = std::chrono::ceil<std::chrono::milliseconds>(next_sweep_ - now).count();
  return static_cast<int>(std::clamp<int64_t>(rest, 0, kLongestWaitMs));
}

DataplaneStats Manager::Collect(DataplaneStats memory) const {
  StatsSource source;
  source.workers = environment_.workers;
  source.longest_pause_us = environment_.longest_pause_us;
  source.tables = publisher_.tables();
  source.sweeper = &sweeper_;
  source.flow_capacity = environment_.flows->capacity_records();
  source.uptime_ms = MillisecondsSince(started_);
  source.swept_ms_ago = MillisecondsSince(swept_);
  if (environment_.probes != nullptr) source.probes = environment_.probes->Counts();
  return CollectStats(source, std::move(memory));
}

HelloMessage Manager::Hello() {
  HelloMessage hello;
  hello.pid = static_cast<uint64_t>(getpid());
  hello.instance = instance_;
  hello.snapshot_version = kSnapshotVersion;
  hello.worker_count = static_cast<uint32_t>(environment_.workers.size());
  hello.flow_records = environment_.flows->capacity_records();
  hello.release = FAIRLEAD_VERSION;
  const auto running = SteadyClock::now() - running_since_;
  hello.running_us = static_cast<uint64_t>(
      std::max<int64_t>(1, std::chrono::ceil<std::chrono::microseconds>(running).count()));
  hello.records_taken_over = environment_.records_taken_over;
  hello.makes_probes = environment_.probes != nullptr;
  for (const EgressPort& port : environment_.publisher.ports) {
    hello.own_addresses.insert(hello.own_addresses.end(), port.addresses.begin(),
                               port.addresses.end());
  }
  if (publisher_.tables() != nullptr) {
    const SnapshotView view(publisher_.image());
    hello.generation = view.header().generation;
    hello.snapshot_digest = view.header().digest;
    hello.change_id = view.header().change_id;
  }
  return hello;
}

PublishedMessage Manager::Publish(const PublishMessage& message, int fd) {
  PublishedMessage reply;
  reply.generation = message.generation;
  const auto start = SteadyClock::now();
  const auto in_force = [&] {
    return publisher_.tables() != nullptr &&
           SnapshotView(publisher_.image()).header().generation == message.generation;
  };
  const auto refuse = [&](const Status& status) {
    spdlog::warn("generation {} is refused: {}", message.generation, status.message());
    reply.reason = status.message().substr(0, kMaxReasonBytes);
    return reply;
  };
  try {
    ImageBefore before;
    if (publisher_.tables() != nullptr) before.image = publisher_.image();
    before.memory = publisher_.TakeSpareMemory();
    before.mapped = &mapped_images_;
    Result<SnapshotImage> image = LoadImageFd(fd, message.image_bytes, &before);
    if (!image.ok()) return refuse(image.status());
    const uint64_t generation = SnapshotView(image->bytes()).header().generation;
    if (generation != message.generation) {
      return refuse(InvalidArgument("the image has generation " + std::to_string(generation) +
                                    ", but the message says " +
                                    std::to_string(message.generation)));
    }
    const Result<TablePublisher::Outcome> outcome =
        Apply(*std::move(image), before.image.empty() ? nullptr : &before.difference);
    if (!outcome.ok()) return refuse(outcome.status());
    ScheduleSave();
    reply.left_out = outcome->build.backends_left_out;
  } catch (const std::bad_alloc&) {
    if (!in_force()) return refuse(ResourceExhausted("not enough memory for the image"));
  }
  reply.in_force = true;
  reply.apply_us = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - start).count());
  return reply;
}

const DataplaneStats& Manager::Stats() {
  {
    const std::lock_guard lock(mutex_);
    stats_ = Collect(std::move(stats_));
  }
  if (environment_.port_stats) stats_.ports = environment_.port_stats();
  return stats_;
}

ProbesMessage Manager::OpenProbes(int fd) {
  if (environment_.probes != nullptr) return environment_.probes->Open(fd);
  return {.reason = "this dataplane makes no probes"};
}

FlowMessage Manager::FindFlow(const FindFlowMessage& message) {
  FlowMessage reply;
  const ForwardingTables* tables = publisher_.tables();
  if (tables != nullptr) {
    for (const ServiceEntry& service : tables->services()) {
      if (service.id == message.service_id) DescribeSlot(*tables, service, message.tag, &reply);
    }
  }
  FlowTable::Handle handle;
  if (!HasFlows() || !environment_.flows->Find({message.tag, message.buckets}, &handle))
    return reply;
  const FlowRecord record = FlowRecord::Unpack(handle.value);
  reply.found = true;
  reply.backend_id = record.backend_id;
  reply.age_ms = record.AgeTicks(environment_.now_tick()) * (1000 / kTicksPerSecond);
  reply.flags = record.flags;
  return reply;
}

}  // namespace fairlead
