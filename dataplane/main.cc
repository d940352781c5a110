// fairlead-dataplane: constructs all parts, runs them, and destroys them in reverse order.
//
//   main thread (lcore 0)   options -> EAL -> ports -> workers; then the management loop
//   lcores 1..N             Worker::Run
//
// Only this file exits. Status 0: a clean end, with one JSON line of counters on stdout. Else a
// status of exit_status.h, with one sentence on stderr. --check has its own (restart_check.h).
#include <malloc.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_random.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstring>
#include <future>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <spdlog/spdlog.h>
#include <sys/signalfd.h>

#include "dataplane/config/device_claims.h"
#include "dataplane/config/options.h"
#include "dataplane/eal/bootstrap.h"
#include "dataplane/eal/log.h"
#include "dataplane/eal/start_watch.h"
#include "dataplane/manage/flow_memory.h"
#include "dataplane/manage/image_file.h"
#include "dataplane/manage/link_server.h"
#include "dataplane/manage/manager.h"
#include "dataplane/manage/restart_check.h"
#include "dataplane/manage/state_files.h"
#include "dataplane/manage/telemetry.h"
#include "dataplane/manage/watchdog.h"
#include "dataplane/port/announcements.h"
#include "dataplane/port/port.h"
#include "dataplane/port/port_links.h"
#include "dataplane/port/removals.h"
#include "dataplane/port/steered_ports.h"
#include "dataplane/probe/probe_sender.h"
#include "dataplane/worker/worker.h"
#include "lib/host/exit_status.h"
#include "lib/host/service_manager.h"
#include "lib/host/stderr_sink.h"

namespace fairlead {
namespace {

constexpr uint32_t kOtherMebibytes = 64;          // EAL memory besides packet buffers
constexpr uint32_t kFragmentedDatagrams = 65536;  // tracked at the same time; 2 MiB
// systemd starts the process again 100 ms after it has ended, however often. So a process waits for
// a device that is absent.
constexpr std::chrono::seconds kLongestWaitForDevices{10};

// Makes SIGINT and SIGTERM readable from a file descriptor. Runs before any thread is started, so
// that all threads inherit the signal mask.
Result<int> CatchSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  signal(SIGPIPE, SIG_IGN);
  if (const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return Internal(std::string("cannot block SIGINT and SIGTERM: ") + std::strerror(error));
  }
  const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return Internal(std::string("cannot create a signalfd: ") + std::strerror(errno));
  return fd;
}

void SetUpLog(bool verbose) {
  auto logger = std::make_shared<spdlog::logger>(
      "fairlead-dataplane", std::make_shared<StderrSink<std::mutex>>([](uint64_t lost) {
        return std::to_string(lost) + " log lines lost: stderr was full";
      }));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->set_level(verbose ? spdlog::level::info : spdlog::level::warn);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

// The image to start with, if there is one: the image that --snapshot names, else the last good
// one. An unusable last image does not prevent the start: the control plane will publish.
Result<std::optional<SnapshotImage>> FirstImage(const Options& options,
                                                const std::optional<std::string>& last_path) {
  if (options.snapshot) {
    ASSIGN_OR_RETURN(SnapshotImage image, LoadImageFile(*options.snapshot));
    return std::optional(std::move(image));
  }
  if (!last_path) return std::optional<SnapshotImage>();
  Result<SnapshotImage> image = LoadSavedImage(*last_path);
  if (image.ok()) return std::optional(*std::move(image));
  if (image.status().code() != ErrorCode::kNotFound) {
    spdlog::warn("{}; starting without a snapshot", image.status().message());
  }
  return std::optional<SnapshotImage>();
}

// The seed of the hash that selects a datagram's buckets (FragmentMap). It is random, so that an
// attacker cannot fill one bucket. Without a link, a run from a file uses the file's hash seed, so
// that it is reproducible.
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
        "EAL has only one lcore, which the management thread needs; give it one more for each "
        "worker (-- -l 0-1)");
  }
  if (config.workers) {
    if (*config.workers > lcores.size()) {
      return InvalidArgument("workers: " + std::to_string(*config.workers) +
                             ", but the EAL arguments leave only " + std::to_string(lcores.size()) +
                             " lcores for workers; reduce workers, or give EAL more lcores (-l)");
    }
    lcores.resize(*config.workers);
  }
  return lcores;
}

// Everything that lives between the start and the end of EAL. Members are in order of construction.
class Dataplane {
 public:
  Dataplane(const Options& options, uint64_t fragment_seed, ServiceManager* service_manager)
      : options_(options),
        service_manager_(service_manager),
        fragments_(kFragmentedDatagrams, fragment_seed) {}

  // `state_files`: where flows and slot states outlive the process; unset = nowhere. `flows`: from
  // BeginOpenFlows.
  Status SetUp(uint16_t largest_mtu, const std::optional<StateFiles>& state_files,
               std::future<Result<Flows>> flows) {
    const DataplaneConfig& config = options_.config;
    ASSIGN_OR_RETURN(lcores_, WorkerLcores(config));
    const auto worker_count = static_cast<uint32_t>(lcores_.size());
    ASSIGN_OR_RETURN(pool_, CreatePool(PlanBuffers(config.ports, largest_mtu, worker_count)));
    ASSIGN_OR_RETURN(PortSet ports, PortSet::Open(config.ports, worker_count, pool_.get()));
    ports_.emplace(std::move(ports));
    steered_ports_.emplace(ports_->ports());
    ASSIGN_OR_RETURN(management_frames_, ManagementFrames::Create(pool_.get()));
    announcements_.emplace(ports_->ports(), config.announcements_per_second,
                           management_frames_.get());
    probes_.emplace(ports_->Views(), ports_->OwnAddresses(),
                    [this](uint16_t port_index, std::span<const uint8_t> frame) {
                      return management_frames_->Put(port_index, frame);
                    });
    removals_.emplace(ports_->ports());
    links_.emplace(
        ports_->ports(), [this](uint16_t index) { announcements_->LinkUp(index); }, &*removals_);
    if (state_files) slot_files_.emplace(state_files->slots, state_files->flows.epoch);
    BeginStartStep("opening the flow table");
    ASSIGN_OR_RETURN(Flows opened, flows.get());
    flows_.emplace(std::move(opened));
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
    environment.publisher.reset_backend = [this](uint32_t counter_index) {
      for (const auto& worker : workers_) {
        worker->mutable_counters().backend(counter_index) = {};
        worker->mutable_counters().handshakes(counter_index) = {};
      }
    };
    environment.publisher.reset_service = [this](uint32_t counter_index) {
      for (const auto& worker : workers_) worker->mutable_counters().service(counter_index) = {};
    };
    environment.publisher.admit_steering = [this](const SnapshotView& snapshot) {
      return steered_ports_->Admit(snapshot);
    };
    environment.publisher.undo_steering = [this](const SnapshotView* in_force) {
      steered_ports_->Withdraw(in_force);
    };
    environment.publisher.after_publish = [this](const SnapshotView& snapshot) {
      steered_ports_->Release(snapshot);
      announcements_->Follow(snapshot);
      probes_->Follow(snapshot);
      generation_ = snapshot.header().generation;
    };
    environment.each_second = [this] {
      TellStatus();
      steered_ports_->Watch();
      announcements_->Watch();
      probes_->Watch();
      shared_.clock.Resync();
    };
    SetUpWatchdog();
    environment.step = [this] {
      return std::min({links_->Step(), announcements_->Step(), probes_->Step(), StepWatchdog()});
    };
    environment.probes = &*probes_;
    environment.longest_pause_us = [this](size_t worker) {
      const uint64_t now_tsc = rte_rdtsc();
      return workers_[worker]->activity().LongestPauseCycles(now_tsc) /
             (rte_get_tsc_hz() / 1'000'000);
    };
    environment.port_stats = [this] { return AllPortStats(); };
    if (slot_files_) SetUpSlotFiles(&environment);
    environment.flows = &flows_->table;
    environment.flow_memory = &flows_->memory;
    environment.records_taken_over = flows_->records_taken_over;
    environment.publisher.make_flow_table = [this] {
      return MakeFlowsPresent(options_.config.flow_records, &flows_->memory,
                              [this] { StepWatchdog(); });
    };
    for (const auto& worker : workers_) environment.workers.push_back(&worker->counters());
    environment.now_tick = [this] {
      return TscClock::Tick(shared_.clock.Microseconds(rte_rdtsc()));
    };
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
    management_frames_->Clear();
  }

  // Tells the service manager what is in force.
  void TellStatus() {
    service_manager_->SetStatus(std::to_string(ports_->ports().size()) + " port(s), " +
                                std::to_string(workers_.size()) + " worker(s), " +
                                (generation_ == 0
                                     ? "no services yet"
                                     : "generation " + std::to_string(generation_) + " in force"));
  }

  // One entry for each port that has a TAP.
  std::vector<PortKernelPath> KernelPaths() const {
    std::vector<PortKernelPath> paths;
    for (uint16_t index = 0; index < ports_->ports().size(); ++index) {
      const Port& port = ports_->ports()[index];
      if (port.tap) paths.push_back({port.name, port.interface, KernelPathOf(index)});
    }
    return paths;
  }

  // Any thread.
  std::optional<LinkStats> LinkOf(uint16_t port_index) const { return links_->Link(port_index); }

  const Removals& removals() const { return *removals_; }

  // Closes the ports. Returns how many buffers were leaked.
  uint32_t ClosePorts() {
    const uint32_t kept = ports_->Close();
    return rte_mempool_in_use_count(pool_.get()) - kept;
  }

  const PortSet& ports() const { return *ports_; }
  size_t worker_count() const { return workers_.size(); }

 private:
  // Restores and saves slot states, which are beside the flow records. They tell which slots have
  // flows that are older than a change.
  void SetUpSlotFiles(Manager::Environment* environment) {
    std::vector<SavedSlots> saved =
        slot_files_->Load([](const std::string& why) { spdlog::warn("{}; ignored", why); });
    environment->publisher.saved = std::move(saved);
    environment->publisher.save = [this](const ForwardingTables& next,
                                         const ForwardingTables* previous) {
      const Status stored = slot_files_->Save(next, previous);
      if (!stored.ok()) {
        spdlog::warn("cannot save slot states, a restart would lose them: {}", stored.message());
      }
    };
    environment->slots_changed = [this](const ForwardingTables& tables) {
      slot_files_->RemoveSettled(tables);
    };
  }

  void SetUpWatchdog() {
    const auto timeout = service_manager_->watchdog_timeout();
    if (!timeout) return;
    WorkerWatchdog::Environment environment;
    environment.timeout = *timeout;
    environment.worker_count = workers_.size();
    environment.loop_mark = [this](size_t i) { return workers_[i]->activity().poll_tsc(); };
    environment.feed = [this] { service_manager_->FeedWatchdog(); };
    environment.warn = [](const std::string& why) { spdlog::warn("{}", why); };
    watchdog_.emplace(std::move(environment), WorkerWatchdog::Clock::now());
  }

  // Milliseconds until the next call.
  int StepWatchdog() { return watchdog_ ? watchdog_->Step(WorkerWatchdog::Clock::now()) : INT_MAX; }

  void FillShared() {
    shared_.flows = &flows_->table;
    shared_.fragments = &fragments_;
    shared_.pool = pool_.get();
    shared_.ports = ports_->Views();
    for (const Port& port : ports_->ports()) {
      shared_.queues.push_back(port.queues->ForWorkers());
      shared_.taps.push_back(port.tap ? &*port.tap : nullptr);
    }
    shared_.rcu = rcu_.get();
    shared_.management_frames = management_frames_.get();
    shared_.idle = options_.config.idle;
    shared_.replies_per_second = options_.config.replies_per_second;
    shared_.icmp_errors_per_second = options_.config.icmp_errors_per_second;
    shared_.resets_per_second = options_.config.resets_per_second;
  }

  // The sum over all workers.
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
      if (port.tap) stats.kernel_path = KernelPathOf(index);
      stats.link = links_->Link(index);
      stats.nic = ReadNicStats(port);
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
  ServiceManager* service_manager_;
  std::optional<WorkerWatchdog> watchdog_;  // unset: the service manager has none
  uint64_t generation_ = 0;                 // in force; 0: none
  std::vector<unsigned> lcores_;
  PoolPointer pool_;
  std::optional<PortSet> ports_;
  std::optional<SteeredPorts> steered_ports_;
  std::unique_ptr<ManagementFrames> management_frames_;
  std::optional<Announcements> announcements_;
  std::optional<ProbeSender> probes_;
  std::optional<Removals> removals_;
  std::optional<PortLinks> links_;
  std::optional<SlotFiles> slot_files_;
  std::optional<Flows> flows_;
  FragmentMap fragments_;
  std::unique_ptr<RcuState> rcu_;
  WorkerShared shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  uint64_t started_tsc_ = 0;
};

// Runs `dataplane` until a signal or --exit-when-idle ends it. Then prints the report. Ends
// `start_watch` when the workers run.
Status Operate(const Options& options, std::optional<SnapshotImage> image,
               std::optional<std::string> last_path, std::optional<LinkServer> link, int signal_fd,
               std::optional<StartWatch>* start_watch, ServiceManager* service_manager,
               Dataplane* dataplane) {
  Manager manager(dataplane->ManagerEnvironment(std::move(last_path)));
  if (image) {
    const Result<TablePublisher::Outcome> outcome = manager.Apply(*std::move(image));
    if (!outcome.ok() && options.snapshot) {
      return Status(outcome.status().code(),
                    "snapshot " + *options.snapshot + " is refused: " + outcome.status().message());
    }
    if (!outcome.ok()) {
      spdlog::warn("the saved snapshot is refused: {}; starting without a snapshot",
                   outcome.status().message());
    }
  }
  if (link) manager.AttachLink(*std::move(link));
  dataplane->StartWorkers();
  const bool has_telemetry = StartTelemetry(
      &manager, &dataplane->ports(), [&] { return dataplane->KernelPaths(); },
      [&](uint16_t index) { return dataplane->LinkOf(index); });
  if (!has_telemetry) {
    spdlog::warn("DPDK telemetry refused a command: some /fairlead commands are not available");
  }
  spdlog::info("{} ports, {} workers: running", dataplane->ports().ports().size(),
               dataplane->worker_count());
  start_watch->reset();
  dataplane->TellStatus();
  service_manager->Ready();
  manager.Run(signal_fd, options.idle_exit_ms);
  service_manager->Stopping();
  dataplane->StopWorkers();
  StopTelemetry();
  const std::vector<PortKernelPath> kernel_paths = dataplane->KernelPaths();
  const uint32_t mbufs_in_use = dataplane->ClosePorts();
  manager.WithStats([&](const DataplaneStats& stats, const ForwardingTables* tables) {
    std::printf("%s\n", ReportJson(stats, tables, mbufs_in_use, kernel_paths).c_str());
  });
  std::fflush(stdout);
  return dataplane->removals().status();
}

// Opens the flow table. Taking over a large one takes long, so that begins now, in a thread of its
// own. Any other table is opened when get() is called: a start that fails must not replace what an
// earlier process has left.
std::future<Result<Flows>> BeginOpenFlows(uint64_t records,
                                          const std::optional<StateFiles>& state_files) {
  std::optional<FlowMemory::Place> place;
  if (state_files) place = state_files->flows;
  const bool takes_over =
      place && FlowMemory::Look(*place, FlowTable::BytesNeeded(records)).has_usable_table();
  return std::async(takes_over ? std::launch::async : std::launch::deferred,
                    [records, place] { return OpenFlows(records, place); });
}

Status Run(const Options& options) {
  ServiceManager service_manager = ServiceManager::FromEnvironment();
  ASSIGN_OR_RETURN(const int signal_fd, CatchSignals());
  std::optional<StartWatch> start_watch;
  start_watch.emplace(signal_fd, &service_manager);
  std::optional<LinkServer> link;
  std::optional<StateFiles> state_files;
  std::optional<std::string> last_path;
  if (options.link_path) {
    ASSIGN_OR_RETURN(LinkServer server, LinkServer::Listen(*options.link_path));
    link.emplace(std::move(server));
    state_files = StateFiles::Beside(*options.link_path);
    last_path = state_files->snapshot;
  }
  ASSIGN_OR_RETURN(std::optional<SnapshotImage> image, FirstImage(options, last_path));
  if (service_manager.is_there()) {
    AwaitDevices(options.config.ports, kLongestWaitForDevices, [&](const std::string& device) {
      spdlog::warn("waiting for {}", device);
      BeginStartStep("waiting for " + device);
      service_manager.SetStatus("starting: waiting for " + device);
    });
  }
  ASSIGN_OR_RETURN(const uint16_t largest_mtu, LargestMtu(options.config.ports));
  const auto most_workers = static_cast<uint32_t>(
      std::max<size_t>(options.config.workers.value_or(1), options.config.cores.size()));
  const BufferPlan buffers = PlanBuffers(options.config.ports, largest_mtu, most_workers);
  ASSIGN_OR_RETURN(const EalPlan plan,
                   PlanEal(options, ReadHostFacts(), buffers.Mebibytes() + kOtherMebibytes));
  ASSIGN_OR_RETURN(const std::vector<PortClaim> claims, ClaimDevices(options.config.ports));
  std::future<Result<Flows>> flows = BeginOpenFlows(options.config.flow_records, state_files);
  BeginStartStep("starting DPDK");
  ASSIGN_OR_RETURN(const Eal eal, Eal::Start(plan));
  Dataplane dataplane(options, FragmentSeed(options, image), &service_manager);
  RETURN_IF_ERROR(dataplane.SetUp(largest_mtu, state_files, std::move(flows)));
  PassEalLogOn(options.verbose);
  return Operate(options, std::move(image), std::move(last_path), std::move(link), signal_fd,
                 &start_watch, &service_manager, &dataplane);
}

// Fails if a start would fail, as far as one can tell while another dataplane has the ports, the
// CPUs and the hugepages. The CPUs of its unit may be others than this process's.
Status CheckStart(const Options& options) {
  ASSIGN_OR_RETURN(const uint16_t largest_mtu, LargestMtu(options.config.ports));
  HostFacts host;
  host.cpus.resize(static_cast<size_t>(std::max(sysconf(_SC_NPROCESSORS_CONF), 1L)));
  std::iota(host.cpus.begin(), host.cpus.end(), 0);
  host.free_hugepages = 1;
  return PlanEal(options, host, largest_mtu).status();
}

// --check. Returns the exit status.
int Check(const Options& options) {
  const auto state_files =
      options.link_path ? std::optional(StateFiles::Beside(*options.link_path)) : std::nullopt;
  const Status start = CheckStart(options);
  const Result<RestartCheck> check = start.ok() ? CheckRestart(options, state_files) : start;
  if (!check.ok()) {
    if (options.json) std::printf("%s\n", CheckErrorJson(check.status()).c_str());
    std::fprintf(stderr, "fairlead-dataplane: %s\n", check.status().message().c_str());
    return kExitConfiguration;
  }
  std::fputs(options.json ? (CheckJson(*check) + "\n").c_str() : CheckText(*check).c_str(), stdout);
  return check->LosesState() ? kCheckLoses : kCheckTakesOver;
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  // Workers allocate nothing, so the threads can share one arena. Else each reserves 64 MiB of address space.
  mallopt(M_ARENA_MAX, 1);
  const fairlead::ParsedOptions parsed = fairlead::ParseOptions(argc, argv);
  if (!parsed.options) return parsed.exit_status;
  fairlead::SetUpLog(parsed.options->verbose);
  if (parsed.options->check) return fairlead::Check(*parsed.options);
  const fairlead::Status status = fairlead::Run(*parsed.options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "fairlead-dataplane: %s\n", status.message().c_str());
  return fairlead::ExitStatusOf(status);
}
