#include "controlplane/daemon.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "controlplane/common/log.h"
#include "lib/host/own_files.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::milliseconds kStopTimeout{5000};
// What a request takes at most, measured and doubled: parsed JSON, copies of the intent, the reply.
constexpr uint64_t kMemoryOfRequest = uint64_t{2} << 20;
constexpr uint64_t kMemoryOfByte = 64;  // of its body
constexpr uint64_t kMemoryOfBackend = 4096;

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file || !text) return NotFound(path + ": cannot be read");
  return text.str();
}

Result<IntentSpec> ReadServicesFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Result<nlohmann::json> json = YamlToJson(text);
  if (!json.ok()) return InvalidArgument(path + ": " + json.status().message());
  Result<IntentSpec> intent = IntentFromJson(*json);
  if (!intent.ok()) return InvalidArgument(path + ": " + intent.status().message());
  return intent;
}

// A client may send any word: what is counted by method must not grow with its fancy.
std::string KnownMethod(const std::string& method) {
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
  return std::ranges::find(kMethods, method) == std::end(kMethods) ? "other" : method;
}

}  // namespace

Daemon::Daemon(asio::io_context* context, DaemonOptions options)
    : context_(context), options_(std::move(options)) {}

Daemon::~Daemon() {
  if (socket_.fd.valid()) RemoveSocket(socket_);
}

Status Daemon::Start() {
  const std::filesystem::path store_folder =
      std::filesystem::path(options_.store_path).parent_path();
  RETURN_IF_ERROR(MakeRuntimeFolder(store_folder.string(), nullptr));
  ASSIGN_OR_RETURN(store_, Store::Open(options_.store_path, options_.accept_older_store));
  registry_ = std::make_unique<Registry>(store_.get(), &clock_);
  if (const Status loaded = registry_->Load(); !loaded.ok()) {
    return Status(loaded.code(), options_.store_path + ": " + loaded.message());
  }
  ASSIGN_OR_RETURN(socket_, ListenUnix(options_.socket_path));
  // Last of what can be refused: a start that fails leaves no configured store behind.
  if (!options_.services_path.empty()) {
    if (Status imported = ImportServices(); !imported.ok()) {
      RemoveSocket(socket_);
      return imported;
    }
  }

  const asio::any_io_executor executor = context_->get_executor();
  drains_ = std::make_unique<Drains>(registry_.get(), &clock_);
  next_hops_ = std::make_unique<NextHops>(executor, [this] { OnNextHopChange(); });
  if (options_.follow_neighbours) {
    if (Status status = next_hops_->Start(); !status.ok()) {
      Log(LogLevel::kWarning, "neighbours_not_followed", {{"reason", status.message()}});
    }
  }
  publisher_ = std::make_unique<Publisher>(
      executor, options_.link_path,
      Publisher::Parts{registry_.get(), drains_.get(), &clock_, [this] { return Settled(); },
                       [this] { FollowOwnAddresses(); }, options_.accept_older_store});
  checks_ = std::make_unique<HealthChecks>(executor, registry_.get(), TcpProber(MostProbesAtOnce()),
                                           [this] { publisher_->Kick(); });
  registry_->OnChange([this] { OnIntentChange(); });
  OnIntentChange();

  api_.registry = registry_.get();
  api_.publisher = publisher_.get();
  api_.drains = drains_.get();
  api_.next_hops = next_hops_.get();
  api_.clock = &clock_;
  api_.started_at = clock_.Steady();
  AddRoutes(&api_, &router_);
  options_.http.memory_bytes = [this](uint64_t body_bytes) {
    return kMemoryOfRequest + kMemoryOfByte * body_bytes +
           kMemoryOfBackend * registry_->backend_count();
  };
  server_ = std::make_unique<HttpServer>(
      executor, &router_, options_.http,
      [this](const std::string& method, const std::string& pattern, unsigned status) {
        ++api_.requests[{KnownMethod(method), pattern, status}];
      });
  server_->Start(socket_);
  publisher_->Start();
  return {};
}

Status Daemon::ImportServices() {
  if (registry_->ever_configured()) {
    Log(LogLevel::kWarning, "services_file_not_read",
        {{"path", options_.services_path},
         {"reason", "the store has been configured already, and goes before the file"}});
    return {};
  }
  ASSIGN_OR_RETURN(const IntentSpec intent, ReadServicesFile(options_.services_path));
  RETURN_IF_ERROR(registry_->Import(intent));
  Log(LogLevel::kInfo, "services_imported",
      {{"path", options_.services_path}, {"services", intent.services.size()}});
  return {};
}

void Daemon::OnIntentChange() {
  publisher_
      ->Kick();  // also first, since it needs no memory, and the rest may end for a lack of it
  FollowOwnAddresses();
  WatchNextHops();
  drains_->Sync();
  checks_->Sync();
  publisher_->Kick();
}

void Daemon::OnNextHopChange() {
  FollowOwnAddresses();
  WatchNextHops();
  publisher_->Kick();
}

// Before anything is published: a frontend on one of them would cut this host off.
void Daemon::FollowOwnAddresses() {
  Registry::OwnAddresses own;
  for (const auto& [address, interface] : next_hops_->host_addresses()) {
    own.emplace(address, "interface " + interface);
  }
  for (const IpAddress& address : publisher_->dataplane_addresses()) {
    own.emplace(address, "addresses of dataplane.yaml");
  }
  const Registry::OwnFrontendsChange change = registry_->SetOwnAddresses(std::move(own));
  for (const Registry::OwnFrontend& each : change.left_out) {
    Log(LogLevel::kWarning, "frontend_left_out",
        {{"service", each.service},
         {"frontend", each.frontend.ToString()},
         {"reason", "an address of this host: " + each.owner}});
  }
  for (const Registry::OwnFrontend& each : change.back) {
    Log(LogLevel::kInfo, "frontend_in_use_again",
        {{"service", each.service}, {"frontend", each.frontend.ToString()}});
  }
}

// Brings the resolver's answers into the registry; backends with a static MAC need none. nat's
// replies leave by the host's default routes.
void Daemon::WatchNextHops() {
  std::set<IpAddress> addresses;
  std::set<IpAddress> frontends;
  for (const ServiceSpec& service : registry_->intent().services) {
    for (const Frontend& frontend : service.frontends) frontends.insert(frontend.address);
    for (const BackendSpec& backend : service.backends) {
      if (!backend.mac.has_value()) addresses.insert(backend.endpoint.address);
    }
  }
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (NeedsClientNextHop(registry_->intent(), family)) {
      addresses.insert(UnspecifiedAddress(family));
    }
  }
  next_hops_->Watch(addresses, std::move(frontends));
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    registry_->SetClientNextHop(family, next_hops_->Find(UnspecifiedAddress(family)));
  }
  registry_->ForEachBackend(
      [&](const ServiceSpec&, const BackendSpec& spec, BackendRuntime& backend) {
        if (!spec.mac.has_value()) backend.next_hop = next_hops_->Find(spec.endpoint.address);
      });
}

bool Daemon::Settled() const {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    if (next_hops_->Waiting(UnspecifiedAddress(family))) return false;
  }
  for (const auto& [name, service] : registry_->services()) {
    for (const auto& [endpoint, backend] : service.backends) {
      if (backend.health.state == HealthState::kInitial || !backend.next_hop.has_value()) {
        return false;
      }
    }
  }
  return true;
}

void Daemon::Stop() {
  if (stopping_) return;
  stopping_ = true;
  Spawn(context_->get_executor(), "shutdown", Shutdown());
}

asio::awaitable<void> Daemon::Shutdown() {
  RemoveSocket(socket_);
  co_await server_->Stop(kStopTimeout);
  checks_->Stop();
  next_hops_->Stop();
  publisher_->Stop();
  if (Status status = registry_->Flush(0); !status.ok()) {
    Log(LogLevel::kError, "store_not_written", {{"reason", status.message()}});
  }
}

}  // namespace fairlead
