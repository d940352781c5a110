#include "controlplane/observe/health/checks.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include "controlplane/common/event.h"
#include "controlplane/common/log.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// A new backend is tried at once, or nearly so: a batch of a thousand spreads over this long.
constexpr uint32_t kFirstProbeSpreadMs = 50;
// For the API's connections, the link, the store, netlink.
constexpr size_t kOtherDescriptors = 512;
constexpr size_t kFewestProbes = 16;
constexpr std::chrono::minutes kNotMadePeriod{1};

uint32_t RandomBelow(uint32_t limit) {
  static std::minstd_rand generator{std::random_device{}()};
  return limit == 0 ? 0 : static_cast<uint32_t>(generator() % limit);
}

// Nine tenths to eleven tenths of the interval, so that checks of one second do not stay in step.
milliseconds Jittered(uint32_t interval_ms) {
  const uint32_t tenth = interval_ms / 10;
  return milliseconds(interval_ms - tenth + RandomBelow(2 * tenth + 1));
}

asio::ip::address ToAsio(const IpAddress& address) {
  if (address.is_v4()) {
    asio::ip::address_v4::bytes_type bytes{};
    std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
    return asio::ip::address_v4(bytes);
  }
  asio::ip::address_v6::bytes_type bytes{};
  std::copy_n(address.bytes().begin(), bytes.size(), bytes.begin());
  return asio::ip::address_v6(bytes);
}

bool OfThisHost(const boost::system::error_code& error) {
  constexpr std::array kLocal = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL};
  return error.category() == boost::system::system_category() &&
         std::ranges::find(kLocal, error.value()) != kLocal.end();
}

asio::awaitable<ProbeAnswer> ProbeTcp(IpAddress address, uint16_t port, milliseconds timeout) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  // Shared with the timer's handler, which may run after this coroutine has gone on.
  const auto socket = std::make_shared<asio::ip::tcp::socket>(executor);
  const auto timed_out = std::make_shared<bool>(false);
  asio::steady_timer timer(executor);
  timer.expires_after(timeout);
  timer.async_wait([socket, timed_out](const boost::system::error_code& error) {
    if (error) return;
    *timed_out = true;
    boost::system::error_code ignored;
    socket->close(ignored);
  });
  const asio::ip::tcp::endpoint endpoint(ToAsio(address), port);
  boost::system::error_code error;
  co_await socket->async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  timer.cancel();
  boost::system::error_code ignored;
  socket->close(ignored);
  ProbeAnswer answer;
  answer.passed = !error && !*timed_out;
  if (*timed_out) {
    answer.reason = fmt::format("no answer within {}",
                                FormatDurationMs(static_cast<uint32_t>(timeout.count())));
  } else if (error) {
    answer.reason = error.message();
    answer.not_made = OfThisHost(error);
  }
  co_return answer;
}

asio::awaitable<ProbeAnswer> ProbeWithin(std::shared_ptr<size_t> under_way, size_t most_at_once,
                                         IpAddress address, uint16_t port, milliseconds timeout) {
  if (*under_way >= most_at_once) {
    co_return ProbeAnswer{
        .reason = fmt::format("{} checks are under way, as many as there are descriptors for",
                              most_at_once),
        .not_made = true};
  }
  ++*under_way;
  ProbeAnswer answer = co_await ProbeTcp(address, port, timeout);
  --*under_way;
  co_return answer;
}

}  // namespace

struct HealthChecks::Check {
  Check(const CheckKey& key_in, asio::any_io_executor executor)
      : key(key_in), machine(key_in.rise, key_in.fall, HealthState::kInitial), timer(executor) {}

  CheckKey key;
  CheckMachine machine;
  asio::steady_timer timer;
  std::set<uint32_t> backends;
  std::string reason;  // of the present state
  bool ended = false;
};

std::vector<uint16_t> CheckPorts(const ServiceSpec& service, const BackendSpec& backend) {
  if (service.health_check.port != 0) return {service.health_check.port};
  if (backend.endpoint.port != 0) return {backend.endpoint.port};
  std::set<uint16_t> ports;
  for (const Frontend& frontend : service.frontends) {
    if (frontend.is_any_port()) continue;
    if (!service.health_check.all_ports) return {frontend.port};
    // A TCP check says nothing about a UDP port.
    if (frontend.protocol == Protocol::kTcp) ports.insert(frontend.port);
  }
  return {ports.begin(), ports.end()};
}

Prober TcpProber(size_t most_at_once) {
  const auto under_way = std::make_shared<size_t>(0);
  return [under_way, most_at_once](IpAddress address, uint16_t port, milliseconds timeout) {
    return ProbeWithin(under_way, most_at_once, address, port, timeout);
  };
}

size_t MostProbesAtOnce() {
  rlimit limit{};
  const size_t descriptors = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
  return std::max(descriptors, kOtherDescriptors + kFewestProbes) - kOtherDescriptors;
}

HealthChecks::HealthChecks(asio::any_io_executor executor, Registry* registry, Prober prober,
                           std::function<void()> on_change)
    : executor_(std::move(executor)),
      registry_(registry),
      prober_(std::move(prober)),
      on_change_(std::move(on_change)) {}

HealthChecks::~HealthChecks() { Stop(); }

void HealthChecks::Stop() {
  for (const auto& [key, check] : checks_) {
    check->ended = true;
    check->timer.cancel();
  }
  checks_.clear();
}

void HealthChecks::Sync() {
  std::map<CheckKey, std::set<uint32_t>> wanted;
  changed_ = false;
  several_.clear();
  registry_->ForEachBackend(
      [&](const ServiceSpec& service, const BackendSpec& spec, BackendRuntime& backend) {
        Want(service, spec, &backend, &wanted);
      });
  std::erase_if(checks_, [&](const auto& entry) {
    if (wanted.contains(entry.first)) return false;
    entry.second->ended = true;
    entry.second->timer.cancel();
    return true;
  });
  for (auto& [key, backends] : wanted) Begin(key, std::move(backends));
  for (const auto& [id, checks] : several_) JudgeBySeveral(id, checks);
  if (changed_) on_change_();
}

void HealthChecks::Want(const ServiceSpec& service, const BackendSpec& spec,
                        BackendRuntime* backend, std::map<CheckKey, std::set<uint32_t>>* wanted) {
  const HealthCheck& check = service.health_check;
  if (check.type == HealthCheckType::kNone) {
    return Assign(backend, HealthState::kHealthy, "no check is configured");
  }
  const std::vector<uint16_t> ports = CheckPorts(service, spec);
  if (ports.empty()) {
    return Assign(backend, HealthState::kHealthy,
                  "not checked: neither the check, the backend nor a frontend names a port");
  }
  if (ports.size() > 1) several_[backend->id];
  for (const uint16_t port : ports) {
    const CheckKey key{spec.endpoint.address, port,       check.interval_ms,
                       check.timeout_ms,      check.rise, check.fall};
    (*wanted)[key].insert(backend->id);
  }
}

void HealthChecks::Begin(const CheckKey& key, std::set<uint32_t> backends) {
  std::shared_ptr<Check>& check = checks_[key];
  const bool fresh = check == nullptr;
  if (fresh) check = std::make_shared<Check>(key, executor_);
  check->backends = std::move(backends);
  for (const uint32_t id : check->backends) {
    const BackendRuntime* backend = registry_->FindRuntime(id);
    const auto several = several_.find(id);
    if (several != several_.end()) several->second.push_back(check.get());
    // Which of several checks a backend failed is not known.
    const bool tells = several == several_.end() ? backend->health.state != HealthState::kInitial
                                                 : backend->health.state == HealthState::kHealthy;
    if (check->machine.state() == HealthState::kInitial && tells) {
      check->machine.TakeUp(backend->health.state);
      check->reason = backend->health.reason;
    }
  }
  // A backend that joins a check which knows the endpoint already has its verdict.
  if (check->machine.state() != HealthState::kInitial) {
    for (const uint32_t id : check->backends) {
      if (several_.contains(id)) continue;  // when all of its checks are known
      Assign(registry_->FindRuntime(id), check->machine.state(), check->reason);
    }
  }
  if (!fresh) return;
  const bool known = check->machine.state() != HealthState::kInitial;
  const uint32_t spread = known ? key.interval_ms : std::min(kFirstProbeSpreadMs, key.interval_ms);
  check->timer.expires_after(milliseconds(RandomBelow(checks_.size() == 1 ? 1 : spread)));
  SpawnLoop(executor_, "check", [this, check] { return Run(check); });
}

asio::awaitable<void> HealthChecks::Run(std::shared_ptr<Check> check) {
  boost::system::error_code error;
  for (;;) {
    co_await check->timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (check->ended) co_return;
    const uint64_t probe = check->machine.Begin();
    check->timer.expires_after(Jittered(check->key.interval_ms));
    const ProbeAnswer answer =
        co_await prober_(check->key.address, check->key.port, milliseconds(check->key.timeout_ms));
    if (check->ended) co_return;
    if (answer.not_made) {
      NotMade(answer.reason);
      continue;
    }
    if (!check->machine.Finish(probe, answer.passed)) continue;
    check->reason = answer.passed ? fmt::format("tcp check of port {} passes", check->key.port)
                                  : fmt::format("{} tcp checks of port {} failed in a row: {}",
                                                check->machine.failures_in_row(), check->key.port,
                                                answer.reason);
    Report(*check, check->reason);
  }
}

void HealthChecks::NotMade(const std::string& reason) {
  ++not_made_;
  const SteadyTime now = std::chrono::steady_clock::now();
  if (not_made_told_ != SteadyTime{} && now < not_made_told_ + kNotMadePeriod) return;
  Log(LogLevel::kError, "checks_not_made",
      {{"count", std::exchange(not_made_, 0)}, {"reason", reason}});
  not_made_told_ = now;
}

void HealthChecks::Report(const Check& check, const std::string& reason) {
  changed_ = false;
  for (const uint32_t id : check.backends) {
    const auto several = several_.find(id);
    if (several != several_.end()) {
      JudgeBySeveral(id, several->second);
    } else if (BackendRuntime* backend = registry_->FindRuntime(id)) {
      Assign(backend, check.machine.state(), reason);
    }
  }
  if (changed_) on_change_();
}

void HealthChecks::JudgeBySeveral(uint32_t backend_id, const std::vector<Check*>& checks) {
  BackendRuntime* backend = registry_->FindRuntime(backend_id);
  if (backend == nullptr || checks.empty()) return;
  const auto has_state = [&](HealthState state) {
    return [state](const Check* check) { return check->machine.state() == state; };
  };
  const auto failed = std::ranges::find_if(checks, has_state(HealthState::kUnhealthy));
  if (failed != checks.end()) {
    Assign(backend, HealthState::kUnhealthy, (*failed)->reason);
  } else if (std::ranges::all_of(checks, has_state(HealthState::kHealthy))) {
    Assign(backend, HealthState::kHealthy, checks.front()->reason);
  }
}

void HealthChecks::Assign(BackendRuntime* backend, HealthState state, const std::string& reason) {
  if (backend->health.state == state) {
    if (backend->health.reason != reason) registry_->SetHealth(backend, state, reason);
    return;
  }
  const bool healthy = state == HealthState::kHealthy;
  Log(healthy ? LogLevel::kInfo : LogLevel::kWarning,
      healthy ? "backend_healthy" : "backend_unhealthy",
      {{"service", backend->service},
       {"backend", backend->endpoint.ToString()},
       {"reason", reason}});
  registry_->SetHealth(backend, state, reason);
  changed_ = true;
}

}  // namespace fairlead
