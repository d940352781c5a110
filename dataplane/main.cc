// fairlead-dataplane: puts the parts together, runs them, and takes them apart again.
//
//   main thread (lcore 0)   options -> EAL -> ports -> workers; then the management loop
//   lcores 1..N             Worker::Run
//
// Only this file exits. Status 0: a clean end, with one JSON line of counters on stdout. Status 1: a
// refusal, with one sentence on stderr.
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_random.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <spdlog/spdlog.h>
#include <sys/signalfd.h>

#include "dataplane/config/options.h"
#include "dataplane/eal/bootstrap.h"
#include "dataplane/eal/log.h"
#include "dataplane/manage/flow_memory.h"
#include "dataplane/manage/image_file.h"
#include "dataplane/manage/link_server.h"
#include "dataplane/manage/manager.h"
#include "dataplane/manage/state_files.h"
#include "dataplane/manage/telemetry.h"
#include "dataplane/port/announcements.h"
#include "dataplane/port/port.h"
#include "dataplane/port/steered_ports.h"
#include "dataplane/worker/worker.h"
#include "lib/host/stderr_sink.h"

namespace fairlead {
namespace {

constexpr uint32_t kOtherMebibytes = 64;          // of EAL memory, besides packet buffers
constexpr uint32_t kFragmentedDatagrams = 65536;  // known at once; 2 MiB

// Makes SIGINT and SIGTERM readable from a descriptor. Before any thread is started, so that all
// inherit the mask.
Result<int> CatchSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  signal(SIGPIPE, SIG_IGN);
  if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return Internal("signals cannot be masked");
  const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return Internal(std::string("no signalfd: ") + std::strerror(errno));
  return fd;
}

void SetUpLog(bool verbose) {
  auto logger = std::make_shared<spdlog::logger>(
      "fairlead-dataplane", std::make_shared<StderrSink<std::mutex>>([](uint64_t lost) {
        return std::to_string(lost) + " lines of this log are lost: nobody read it";
      }));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->set_level(verbose ? spdlog::level::info : spdlog::level::warn);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

// The image to start with, if there is one: the one asked for, else the last good one. An unusable
// last image is no reason not to start: the control plane will publish.
Result<std::optional<SnapshotImage>> FirstImage(const Options& options,
                                                const std::optional<std::string>& last_path) {
  if (options.snapshot) {
    ASSIGN_OR_RETURN(SnapshotImage image, LoadImageFile(*options.snapshot));
    return std::optional(std::move(image));
  }
  if (!last_path) return std::optional<SnapshotImage>();
  Result<SnapshotImage> image = LoadKeptImage(*last_path);
  if (image.ok()) return std::optional(*std::move(image));
  if (image.status().code() != ErrorCode::kNotFound) {
    spdlog::warn("{}; starting without", image.status().message());
  }
  return std::optional<SnapshotImage>();
}

// By it datagrams' buckets are chosen (FragmentMap), and nobody must be able to aim at one: random. A
// run from a file alone is to do the same each time, and takes the file's.
uint64_t FragmentSeed(const Options& options, const std::optional<SnapshotImage>& image) {
  SnapshotHeader header;
  if (options.link_path || !image || image->bytes().size() < sizeof(header)) return rte_rand();
  std::memcpy(&header, image->bytes().data(), sizeof(header));
  return header.hash_seed;
}

// The lcores that workers run on, in order.
Result<std::vector<unsigned>> WorkerLcores(const DataplaneConfig& config) {
  std::vector<unsigned> lcores;
  unsigned lcore;
  RTE_LCORE_FOREACH_WORKER(lcore) { lcores.push_back(lcore); }
  if (lcores.empty()) {
    return InvalidArgument(
        "EAL has one lcore only, and the management thread needs it; name at least two behind --");
  }
  if (config.workers) {
    if (*config.workers > lcores.size()) {
      return InvalidArgument("workers: " + std::to_string(*config.workers) +
                             ", but the EAL arguments leave " + std::to_string(lcores.size()) +
                             " lcores for them");
    }
    lcores.resize(*config.workers);
  }
  return lcores;
}

// Everything between EAL's start and its end, in the order of construction.
class Dataplane {
 public:
  Dataplane(const Options& options, uint64_t fragment_seed)
      : options_(options), fragments_(kFragmentedDatagrams, fragment_seed) {}

  // `keep`: where flows and slot states outlive the process; unset = nowhere.
  Status SetUp(uint16_t largest_mtu, const std::optional<StateFiles>& keep) {
    const DataplaneConfig& config = options_.config;
    ASSIGN_OR_RETURN(lcores_, WorkerLcores(config));
    const auto worker_count = static_cast<uint32_t>(lcores_.size());
    const uint32_t buffers = BufferCount(config.ports.size(), worker_count);
    ASSIGN_OR_RETURN(pool_, CreatePool(buffers, largest_mtu));
    ASSIGN_OR_RETURN(PortSet ports, PortSet::Open(config.ports, worker_count, pool_.get()));
    ports_.emplace(std::move(ports));
    steered_ports_.emplace(ports_->ports());
    ASSIGN_OR_RETURN(outgoing_, Outgoing::Create(pool_.get()));
    announcements_.emplace(ports_->ports(), config.announcements_per_second, outgoing_.get());
    RETURN_IF_ERROR(SetUpFlows(keep));
    ASSIGN_OR_RETURN(rcu_, RcuState::Create(worker_count));
    FillShared();
    for (uint32_t index = 0; index < worker_count; ++index) {
      ASSIGN_OR_RETURN(std::unique_ptr<Worker> worker, Worker::Create(index, &shared_));
      workers_.push_back(std::move(worker));
    }
    return {};
  }

  Manager::Environment ManagerEnvironment(std::optional<std::string> last_image_path) {
    Manager::Environment environment;
    environment.publisher.published = &shared_.tables;
    environment.publisher.grace = rcu_.get();
    environment.publisher.ports = ports_->EgressPorts();
    environment.publisher.reset_backend = [this](uint32_t slot) {
      for (const auto& worker : workers_) worker->mutable_counters().backend(slot) = {};
    };
    environment.publisher.reset_service = [this](uint32_t slot) {
      for (const auto& worker : workers_) worker->mutable_counters().service(slot) = {};
    };
    environment.publisher.admit = [this](const SnapshotView& snapshot) {
      return steered_ports_->Admit(snapshot);
    };
    environment.publisher.withdraw = [this](const SnapshotView* in_force) {
      steered_ports_->Withdraw(in_force);
    };
    environment.publisher.settle = [this](const SnapshotView& snapshot) {
      steered_ports_->Release(snapshot);
      announcements_->Follow(snapshot);
    };
    environment.each_second = [this] {
      steered_ports_->Watch();
      announcements_->Watch();
      shared_.clock.SetRight();
    };
    environment.step = [this] { return announcements_->Step(); };
    environment.longest_pause_us = [this](size_t worker) {
      const uint64_t now_tsc = rte_rdtsc();
      return workers_[worker]->activity().LongestPauseCycles(now_tsc) /
             (rte_get_tsc_hz() / 1'000'000);
    };
    environment.port_stats = [this] { return AllPortStats(); };
    if (slot_files_) KeepSlots(&environment);
    environment.flows = &*flows_;
    environment.flow_memory = &*flow_memory_;
    environment.publisher.need_flows = [this] {
      return MakeFlowsPresent(options_.config.flow_records, &*flow_memory_);
    };
    for (const auto& worker : workers_) environment.workers.push_back(&worker->counters());
    environment.now_tick = [this] { return Clock::Tick(shared_.clock.Microseconds(rte_rdtsc())); };
    environment.idle_ms = [this] { return IdleMilliseconds(); };
    environment.last_image_path = std::move(last_image_path);
    return environment;
  }

  void StartWorkers() {
    started_tsc_ = rte_rdtsc();
    for (size_t i = 0; i < workers_.size(); ++i) {
      const auto run = [](void* worker) {
        static_cast<Worker*>(worker)->Run();
        return 0;
      };
      rte_eal_remote_launch(run, workers_[i].get(), lcores_[i]);
    }
  }

  void StopWorkers() {
    shared_.stop.store(true);
    for (const unsigned lcore : lcores_) rte_eal_wait_lcore(lcore);
    outgoing_->Clear();
  }

  // By port that has a TAP.
  std::vector<PortKernelPath> KernelPaths() const {
    std::vector<PortKernelPath> paths;
    for (uint16_t index = 0; index < ports_->ports().size(); ++index) {
      const Port& port = ports_->ports()[index];
      if (port.tap_id) paths.push_back({port.name, port.interface, KernelPathOf(index)});
    }
    return paths;
  }

  // Closes the ports; the buffers that nobody gave back, but should have.
  uint32_t ClosePorts() {
    const uint32_t kept = ports_->Close();
    return rte_mempool_in_use_count(pool_.get()) - kept;
  }

  const PortSet& ports() const { return *ports_; }
  size_t worker_count() const { return workers_.size(); }

 private:
  Status SetUpFlows(const std::optional<StateFiles>& keep) {
    const size_t bytes = FlowTable::BytesNeeded(options_.config.flow_records);
    ASSIGN_OR_RETURN(FlowMemory memory,
                     keep ? FlowMemory::Open(keep->flows, bytes) : FlowMemory::Allocate(bytes));
    flow_memory_.emplace(std::move(memory));
    if (keep) slot_files_.emplace(keep->slots, keep->flows.epoch);
    ASSIGN_OR_RETURN(FlowTable table, OpenFlowTable(options_.config.flow_records, &*flow_memory_));
    flows_.emplace(table);
    return {};
  }

  // Slot states go with the records: which flows are older than a change, and for how long.
  void KeepSlots(Manager::Environment* environment) {
    std::vector<SavedSlots> saved =
        slot_files_->Load([](const std::string& why) { spdlog::warn("{}; ignored", why); });
    environment->publisher.saved = std::move(saved);
    environment->publisher.save = [this](const ForwardingTables& next,
                                         const ForwardingTables* previous) {
      const Status stored = slot_files_->Save(next, previous);
      if (!stored.ok()) {
        spdlog::warn("a restart would forget slot states: {}", stored.message());
      }
    };
    environment->slots_changed = [this](const ForwardingTables& tables) {
      slot_files_->RemoveSettled(tables);
    };
  }

  void FillShared() {
    shared_.flows = &*flows_;
    shared_.fragments = &fragments_;
    shared_.pool = pool_.get();
    shared_.ports = ports_->Views();
    for (const Port& port : ports_->ports()) {
      shared_.port_ids.push_back(port.id);
      shared_.kernel_ports.push_back({port.id, port.tap_id.value_or(kNoTap)});
    }
    shared_.rcu = rcu_.get();
    shared_.outgoing = outgoing_.get();
    shared_.idle = options_.config.idle;
    shared_.replies_per_second = options_.config.replies_per_second;
    shared_.icmp_errors_per_second = options_.config.icmp_errors_per_second;
    shared_.resets_per_second = options_.config.resets_per_second;
  }

  // Of all workers together.
  KernelPathStats KernelPathOf(uint16_t port_index) const {
    KernelPathStats sum;
    for (const auto& worker : workers_) {
      Accumulate(worker->kernel_path().Stats(port_index), &sum);
    }
    return sum;
  }

  std::vector<PortStats> AllPortStats() const {
    std::vector<PortStats> all;
    for (uint16_t index = 0; index < ports_->ports().size(); ++index) {
      const Port& port = ports_->ports()[index];
      PortStats& stats = all.emplace_back(PortStats{port.name, port.interface});
      if (port.tap_id) stats.kernel_path = KernelPathOf(index);
      if (!port.steering) continue;
      const Result<SteeringCounts> counts = port.steering->Counts();
      stats.steering = SteeringStats{port.steering->StillAttached()};
      if (!counts.ok()) continue;
      stats.steering->to_dataplane = counts->to_dataplane;
      stats.steering->to_kernel = counts->to_kernel;
      stats.steering->no_socket = counts->no_socket;
    }
    return all;
  }

  uint64_t IdleMilliseconds() const {
    const auto activity_of = [this](size_t i) -> const Activity& {
      return workers_[i]->activity();
    };
    return IdleCycles(started_tsc_, workers_.size(), activity_of) / (rte_get_tsc_hz() / 1000);
  }

  const Options& options_;
  std::vector<unsigned> lcores_;
  PoolPointer pool_;
  std::optional<PortSet> ports_;
  std::optional<SteeredPorts> steered_ports_;
  std::unique_ptr<Outgoing> outgoing_;
  std::optional<Announcements> announcements_;
  std::optional<FlowMemory> flow_memory_;
  std::optional<SlotFiles> slot_files_;
  std::optional<FlowTable> flows_;
  FragmentMap fragments_;
  std::unique_ptr<RcuState> rcu_;
  WorkerShared shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  uint64_t started_tsc_ = 0;
};

// Runs `dataplane` until it is time to end, and prints the report.
Status Operate(const Options& options, std::optional<SnapshotImage> image,
               std::optional<std::string> last_path, std::optional<LinkServer> link, int signal_fd,
               Dataplane* dataplane) {
  Manager manager(dataplane->ManagerEnvironment(std::move(last_path)));
  if (image) {
    const Result<Publisher::Outcome> outcome = manager.Apply(*std::move(image));
    if (!outcome.ok() && options.snapshot) {
      return Status(outcome.status().code(),
                    "snapshot " + *options.snapshot + " is refused: " + outcome.status().message());
    }
    if (!outcome.ok()) spdlog::warn("the last image is refused: {}", outcome.status().message());
  }
  if (link) manager.AttachLink(*std::move(link));
  dataplane->StartWorkers();
  if (!StartTelemetry(&manager, &dataplane->ports(), [&] { return dataplane->KernelPaths(); }))
    spdlog::warn("telemetry is not available");
  spdlog::info("{} ports, {} workers: running", dataplane->ports().ports().size(),
               dataplane->worker_count());
  manager.Run(signal_fd, options.idle_exit_ms);
  dataplane->StopWorkers();
  StopTelemetry();
  const std::vector<PortKernelPath> kernel_paths = dataplane->KernelPaths();
  const uint32_t mbufs_in_use = dataplane->ClosePorts();
  manager.WithStats([&](const DataplaneStats& stats, const ForwardingTables* tables) {
    std::printf("%s\n", ReportJson(stats, tables, mbufs_in_use, kernel_paths).c_str());
  });
  std::fflush(stdout);
  return {};
}

Status Run(const Options& options) {
  ASSIGN_OR_RETURN(const int signal_fd, CatchSignals());
  std::optional<LinkServer> link;
  std::optional<StateFiles> keep;
  std::optional<std::string> last_path;
  if (options.link_path) {
    ASSIGN_OR_RETURN(LinkServer server, LinkServer::Listen(*options.link_path));
    link.emplace(std::move(server));
    keep = StateFiles::Beside(*options.link_path);
    last_path = keep->snapshot;
  }
  ASSIGN_OR_RETURN(std::optional<SnapshotImage> image, FirstImage(options, last_path));
  ASSIGN_OR_RETURN(const uint16_t largest_mtu, LargestMtu(options.config.ports));
  const auto most_workers = static_cast<uint32_t>(
      std::max<size_t>(options.config.workers.value_or(1), options.config.cores.size()));
  const uint32_t buffers = BufferCount(options.config.ports.size(), most_workers);
  ASSIGN_OR_RETURN(
      const EalPlan plan,
      PlanEal(options, ReadHostFacts(), BufferMebibytes(buffers, largest_mtu) + kOtherMebibytes));
  ASSIGN_OR_RETURN(const Eal eal, Eal::Start(plan));
  Dataplane dataplane(options, FragmentSeed(options, image));
  RETURN_IF_ERROR(dataplane.SetUp(largest_mtu, keep));
  PassEalLogOn(options.verbose);
  return Operate(options, std::move(image), std::move(last_path), std::move(link), signal_fd,
                 &dataplane);
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  const fairlead::ParsedOptions parsed = fairlead::ParseOptions(argc, argv);
  if (!parsed.options) return parsed.exit_status;
  fairlead::SetUpLog(parsed.options->verbose);
  const fairlead::Status status = fairlead::Run(*parsed.options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "fairlead-dataplane: %s\n", status.message().c_str());
  return 1;
}
