#include "controlplane/daemon.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "controlplane/common/log.h"
#include "controlplane/core/status_text.h"
#include "lib/host/own_files.h"
#include "lib/host/text_file.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::milliseconds kStopTimeout{5000};
// Twice the measured maximum for a request: parsed JSON, copies of the intent, the reply.
constexpr uint64_t kMemoryOfRequest = uint64_t{2} << 20;
constexpr uint64_t kMemoryOfByte = 64;  // of its body
constexpr uint64_t kMemoryOfBackend = 4096;

Result<IntentSpec> ReadServicesFile(const std::string& path) {
  const Result<std::string> text = ReadTextFile(path);
  if (!text.ok()) {
    return InvalidArgument(text.status().message() +
                           "; name the services file with --services, or none");
  }
  Result<nlohmann::json> json = YamlToJson(*text);
  if (!json.ok()) return InvalidArgument(path + ": " + json.status().message());
  Result<IntentSpec> intent = IntentFromJson(*json);
  if (!intent.ok()) return InvalidArgument(path + ": " + intent.status().message());
  return intent;
}

// What to do with a damaged store: commands for the user that fairleadd runs as.
std::string RestoreRemedy(const std::string& path) {
  const passwd* const user =
      ::getpwuid(::geteuid());  // NOLINT(concurrency-mt-unsafe): at the start
  const std::string name = user == nullptr ? std::to_string(::geteuid()) : user->pw_name;
  const std::filesystem::path file = std::filesystem::absolute(path);
  const std::string base = file.filename().string();
  return "; stop fairleadd and restore a backup: `cd " + file.parent_path().string() +
         " && rm -f " + base + "-* " + base + ".acknowledged && install -o " + name +
         " -m 0640 BACKUP " + base +
         "` (docs/operations.md, The store: backup and restore); without a backup, move all files "
         "named " +
         base + "* away, and start with --services or configure again";
}

// A client may send any method. Unknown ones share one counter, so that the number of counters is
// limited.
std::string KnownMethod(const std::string& method) {
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
  return std::ranges::find(kMethods, method) == std::end(kMethods) ? "other" : method;
}

}  // namespace

Daemon::Daemon(asio::io_context* context, DaemonOptions options, ServiceManager* service_manager)
    : context_(context),
      options_(std::move(options)),
      service_manager_(service_manager == nullptr ? &nobody_ : service_manager),
      reconciler_(context->get_executor()),
      board_(&clock_, [this] { reconciler_.Trigger(); }) {}

Daemon::~Daemon() {
  if (socket_.fd.valid()) RemoveSocket(socket_);
}

Status Daemon::OpenStore() {
  const std::string folder = std::filesystem::path(options_.store_path).parent_path().string();
  Result<std::unique_ptr<Store>> store = [&]() -> Result<std::unique_ptr<Store>> {
    RETURN_IF_ERROR(MakeRuntimeFolder(folder, nullptr));
    return Store::Open(options_.store_path, options_.accept_older_store, options_.resources);
  }();
  if (store.status().code() == ErrorCode::kUnavailable) {
    return Unavailable(store.status().message() +
                       "; fairleadd keeps the store there: make the folder writable and free space "
                       "in it, or choose another --store");
  }
  const auto with_remedy = [&](const Status& status) {
    if (status.code() != ErrorCode::kDataLoss) return status;
    return DataLoss(status.message() + RestoreRemedy(options_.store_path));
  };
  if (!store.ok()) return with_remedy(store.status());
  const auto at_path = [&](const Status& status) {
    return with_remedy(Status(status.code(), options_.store_path + ": " + status.message()));
  };
  const Result<StoredState> state = (*store)->Load();
  if (!state.ok()) return at_path(state.status());
  const asio::any_io_executor executor = context_->get_executor();
  store_ = std::make_unique<StoreThread>(executor, *std::move(store));
  log_ = std::make_unique<IntentLog>(
      executor, IntentLog::Parts{store_.get(), &clock_, &rules_, &generations_,
                                 [this] { reconciler_.Trigger(); }, options_.resources,
                                 [this](const Status& failure) {
                                   if (status_writer_ != nullptr) {
                                     status_writer_->OnWriteFailure(failure);
                                   }
                                 }});
  if (Status loaded = log_->Load(*state); !loaded.ok()) return at_path(loaded);
  for (const auto& [id, status] : state->status) board_.Restore(id, status);
  return {};
}

Status Daemon::Start() {
  RETURN_IF_ERROR(OpenStore());
  ASSIGN_OR_RETURN(socket_, ListenUnix(options_.socket_path));
  // The last step that can fail: a start that fails must not leave a configured store behind.
  if (!options_.services_path.empty()) {
    if (Status imported = ImportServices(); !imported.ok()) {
      RemoveSocket(socket_);
      return imported;
    }
  }
  MakeControllers();
  MakeServer();
  // The publisher waits until the status is complete, so the controllers must have run once.
  reconciler_.Pass();
  log_->Start();
  status_writer_->Start();
  reconciler_.Start();
  guard_->Start();
  server_->Start(socket_);
  publisher_->Start();
  if (const auto timeout = service_manager_->watchdog_timeout()) {
    watchdog_ = std::make_unique<Watchdog>(
        context_->get_executor(), store_.get(), [this] { service_manager_->FeedWatchdog(); },
        Watchdog::Times{.period = *timeout / 2});
    watchdog_->Start();
  }
  return {};
}

std::string Daemon::WhyNoWayTo(const IpAddress& address) const {
  const WayOut way = next_hops_->FindWayOut(address);
  if (!way.has_route) return "there is no route to " + address.ToString();
  if (way.no_carrier.empty()) return guard_->WhyNoWay(address);
  return NoCarrierText(way.no_carrier, way.device, board_.dataplane());
}

void Daemon::TellStatus() {
  const IntentView view = log_->View();
  service_manager_->SetStatus(
      (publisher_->link().connected() ? "connected to the dataplane; " : "no dataplane; ") +
      std::to_string(view->services.size()) + " service(s), " + std::to_string(board_.size()) +
      " backend(s)");
}

// Without it all checks are direct.
void Daemon::MakeProbePath() {
  Result<std::unique_ptr<ProbePath>> path = ProbePath::Create(
      &board_, [this]() -> const auto& { return next_hops_->host_addresses(); });
  if (path.ok()) {
    probe_path_ = *std::move(path);
  } else {
    Log(LogLevel::kWarning, "checks_are_direct", {{"reason", path.status().message()}});
  }
}

// A controller comes after those whose results it uses. The status writer comes last.
void Daemon::MakeControllers() {
  const asio::any_io_executor executor = context_->get_executor();
  const auto trigger = [this] { reconciler_.Trigger(); };
  next_hops_ = std::make_unique<NextHops>(executor, trigger);
  if (options_.follow_neighbours) {
    if (Status status = next_hops_->Start(); !status.ok()) {
      Log(LogLevel::kWarning, "neighbours_not_followed", {{"reason", status.message()}});
    }
  }
  frontends_ = std::make_unique<FrontendController>(next_hops_.get(), &board_);
  next_hop_controller_ = std::make_unique<NextHopController>(next_hops_.get(), &board_);
  MakeProbePath();
  way_look_ = std::make_unique<WayLook>(executor, next_hops_.get());
  guard_ = std::make_unique<IsolationGuard>(
      executor, IsolationGuard::Parts{
                    .board = &board_,
                    .clock = &clock_,
                    .look = [this](IpAddress endpoint) { return way_look_->Look(endpoint); },
                    .find = [this](const IpAddress& endpoint) { return way_look_->Find(endpoint); },
                    .healthy_endpoints = [this] { return checks_->healthy_endpoints(); }});
  checks_ = std::make_unique<HealthChecks>(
      executor, &board_, options_.make_probers(MostProbesAtOnce()),
      [this](const IpAddress& address) { return WhyNoWayTo(address); }, probe_path_.get(),
      guard_.get());
  drains_ = std::make_unique<DrainController>(executor, &board_, &clock_, trigger);
  outliers_ = std::make_unique<OutlierController>(executor, &board_, &clock_, trigger);
  publisher_ = std::make_unique<Publisher>(
      executor, options_.link_path,
      Publisher::Parts{log_.get(), &board_, &generations_, &clock_, &services_,
                       [this](const DataplaneStats& stats, SteadyTime asked_at) {
                         drains_->OnStats(stats, asked_at);
                         outliers_->OnStats(stats, asked_at);
                       },
                       options_.accept_older_store,
                       probe_path_ == nullptr ? -1 : probe_path_->targets_fd()});
  status_writer_ = std::make_unique<StatusWriter>(executor, store_.get(), &board_, &generations_);
  rules_.SetOwnAddresses(&board_.own_addresses());
  rules_.SetDataplane(&board_.dataplane());

  reconciler_.Add([this] { board_.Follow(log_->View()); });
  reconciler_.Add([this] { frontends_->Reconcile(log_->View()); });
  reconciler_.Add([this] { next_hop_controller_->Reconcile(log_->View()); });
  reconciler_.Add([this] { checks_->Reconcile(log_->View()); });
  reconciler_.Add([this] { drains_->Reconcile(log_->View()); });
  reconciler_.Add([this] { outliers_->Reconcile(log_->View()); });
  reconciler_.Add([this] { services_.Update(log_->View()); });
  reconciler_.Add([this] { publisher_->Reconcile(); });
  reconciler_.Add([this] { status_writer_->Reconcile(); });
  reconciler_.Add([this] { TellStatus(); });
}

void Daemon::MakeServer() {
  api_.log = log_.get();
  api_.board = &board_;
  api_.services = &services_;
  api_.conditions = &conditions_;
  api_.status_writer = status_writer_.get();
  api_.store = store_.get();
  api_.reconciler = &reconciler_;
  api_.generations = &generations_;
  api_.publisher = publisher_.get();
  api_.next_hops = next_hops_.get();
  api_.checks = checks_.get();
  api_.clock = &clock_;
  api_.resources = options_.resources;
  api_.started_at = clock_.Steady();
  AddRoutes(&api_, &router_);
  options_.http.memory_bytes = [this](uint64_t body_bytes) {
    return kMemoryOfRequest + kMemoryOfByte * body_bytes + kMemoryOfBackend * board_.size();
  };
  server_ = std::make_unique<HttpServer>(
      context_->get_executor(), &router_, options_.http,
      [this](const std::string& method, const std::string& pattern, unsigned status) {
        ++api_.requests[{KnownMethod(method), pattern, status}];
      });
}

Status Daemon::ImportServices() {
  if (log_->ever_configured()) {
    Log(LogLevel::kWarning, "services_file_not_read",
        {{"path", options_.services_path},
         {"reason", "the store is already configured, and takes precedence over the file"}});
    return {};
  }
  ASSIGN_OR_RETURN(const IntentSpec intent, ReadServicesFile(options_.services_path));
  RETURN_IF_ERROR(log_->ApplyBeforeStart(ImportIntent(intent), Author("services file")));
  Log(LogLevel::kInfo, "services_imported",
      {{"path", options_.services_path}, {"services", intent.services.size()}});
  return {};
}

void Daemon::Stop() {
  if (stopping_) return;
  stopping_ = true;
  Spawn(context_->get_executor(), "shutdown", Shutdown());
}

asio::awaitable<void> Daemon::Shutdown() {
  RemoveSocket(socket_);
  api_.stopping = true;
  reconciler_.passed()->Notify();
  co_await server_->Stop(kStopTimeout);
  log_->Stop();
  checks_->Stop();
  guard_->Stop();
  drains_->Stop();
  outliers_->Stop();
  next_hops_->Stop();
  publisher_->Stop();
  if (watchdog_ != nullptr) watchdog_->Stop();
  reconciler_.Stop();
  co_await status_writer_->Stop();
  if (!status_writer_->error().empty()) {
    Log(LogLevel::kError, "store_not_written", {{"reason", status_writer_->error()}});
  }
}

}  // namespace fairlead
