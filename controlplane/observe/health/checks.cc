#include "controlplane/observe/health/checks.h"

#include <algorithm>
#include <random>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "controlplane/common/event.h"
#include "controlplane/common/log.h"
#include "controlplane/core/status_text.h"

namespace fairlead {
namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// The first probes of new backends are spread over this time, so that a thousand new backends are
// not probed at once.
constexpr uint32_t kFirstProbeSpreadMs = 50;
constexpr std::chrono::minutes kSkippedPeriod{1};  // between two log lines
constexpr const char* kDataplaneAway = "the dataplane is away";

uint32_t RandomBelow(uint32_t limit) {
  static std::minstd_rand generator{std::random_device{}()};
  return limit == 0 ? 0 : static_cast<uint32_t>(generator() % limit);
}

// 90% to 110% of the interval, so that checks that started together do not stay in step.
milliseconds Jittered(uint32_t interval_ms) {
  const uint32_t tenth = interval_ms / 10;
  return milliseconds(interval_ms - tenth + RandomBelow(2 * tenth + 1));
}

}  // namespace

struct HealthChecks::Check {
  Check(const CheckKey& key_in, asio::any_io_executor executor)
      : key(key_in), machine(key_in.rise, key_in.fall, HealthState::kInitial), timer(executor) {}

  CheckKey key;
  CheckMachine machine;
  asio::steady_timer timer;
  std::set<uint32_t> backends;
  CheckResult verdict;  // the check result that led to the present state
  bool ended = false;
};

// The checks of one backend.
struct HealthChecks::Plan {
  std::vector<std::shared_ptr<Check>> checks;
  bool several() const { return checks.size() > 1; }
};

HealthChecks::HealthChecks(asio::any_io_executor executor, StatusBoard* board, Probers probers,
                           NoWay no_way)
    : executor_(std::move(executor)),
      board_(board),
      probers_(std::move(probers)),
      no_way_(std::move(no_way)),
      view_(std::make_shared<Intent>()) {}

HealthChecks::~HealthChecks() { Stop(); }

void HealthChecks::Stop() {
  for (const auto& [key, check] : checks_) {
    check->ended = true;
    check->timer.cancel();
  }
  checks_.clear();
  plans_.clear();
}

void HealthChecks::Reconcile(const IntentView& view) {
  if (std::exchange(dataplane_is_away_, DataplaneIsAway()) && !dataplane_is_away_) {
    for (const auto& [key, check] : checks_) check->machine.Pause();
  }
  ChecksToReport touched;
  for (const IntentDifference::Service& service : Compare(*view_, *view).services) {
    const bool checks_differ =
        service.before != nullptr && service.after != nullptr &&
        (service.before->settings.health_check != service.after->settings.health_check ||
         service.before->settings.frontends != service.after->settings.frontends);
    for (const BackendDifference& each : CompareBackends(service.before, service.after)) {
      const bool stays =
          each.before != nullptr && each.after != nullptr && each.before->id == each.after->id;
      if (each.before != nullptr && !stays) Follow(nullptr, *each.before, &touched);
      if (each.after != nullptr && !stays) Follow(service.after, *each.after, &touched);
    }
    if (!checks_differ) continue;
    for (const auto& backend : service.after->backends) Follow(service.after, *backend, &touched);
  }
  view_ = view;
  for (const std::shared_ptr<Check>& check : touched) Report(*check);
}

void HealthChecks::Follow(const ServiceIntent* service, const BackendIntent& backend,
                          ChecksToReport* touched) {
  std::vector<CheckKey> wanted;
  if (service != nullptr && service->settings.health_check.type->probes) {
    const HealthCheck& check = service->settings.health_check;
    for (const uint16_t port : check.type->ports(service->settings, backend.spec)) {
      wanted.push_back({check.type, backend.spec.endpoint.address, port, check.interval_ms,
                        check.timeout_ms, check.rise, check.fall, check.settings});
    }
  }
  Detach(backend.id, wanted);
  if (service == nullptr) {
    plans_.erase(backend.id);
    return;
  }
  if (wanted.empty()) {
    plans_.erase(backend.id);
    const bool has_check = service->settings.health_check.type->probes;
    return Assign(backend.id, HealthState::kHealthy,
                  {.outcome = has_check ? CheckOutcome::kNoPort : CheckOutcome::kNoCheck});
  }
  Plan plan;
  for (const CheckKey& key : wanted) {
    Attach(backend.id, key, wanted.size() > 1, touched);
    plan.checks.push_back(checks_.at(key));
  }
  plans_[backend.id] = std::move(plan);
}

// Removes the backend from checks that are not in `wanted`.
void HealthChecks::Detach(uint32_t backend_id, const std::vector<CheckKey>& wanted) {
  const auto plan = plans_.find(backend_id);
  if (plan == plans_.end()) return;
  for (const std::shared_ptr<Check>& check : plan->second.checks) {
    if (std::ranges::find(wanted, check->key) != wanted.end()) continue;
    check->backends.erase(backend_id);
    if (!check->backends.empty()) continue;
    check->ended = true;
    check->timer.cancel();
    checks_.erase(check->key);
  }
}

void HealthChecks::Attach(uint32_t backend_id, const CheckKey& key, bool several,
                          ChecksToReport* touched) {
  std::shared_ptr<Check>& check = checks_[key];
  const bool is_new = check == nullptr;
  if (is_new) check = std::make_shared<Check>(key, executor_);
  check->backends.insert(backend_id);
  touched->insert(check);
  const BackendStatus* backend = board_->Find(backend_id);
  // The backend's last health is the state of each of its checks, unless it has several and is
  // unhealthy: then it is not known which check failed.
  const bool is_known =
      backend != nullptr && (several ? backend->health.state == HealthState::kHealthy
                                     : backend->health.state != HealthState::kInitial);
  if (check->machine.state() == HealthState::kInitial && is_known) {
    check->machine.TakeUp(backend->health.state);
    check->verdict = backend->health.verdict;
  }
  if (!is_new) return;
  // A check whose state is known is not urgent. The only check probes at once.
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
    check->timer.expires_after(Jittered(check->key.interval_ms));
    if (DataplaneIsAway()) {
      ProbeSkipped(*check, kDataplaneAway);
      continue;
    }
    const uint64_t probe = check->machine.Begin();
    const CheckKey& key = check->key;
    ProbeTarget target{key.address, key.port, milliseconds(key.timeout_ms), key.settings};
    asio::awaitable<ProbeAnswer> attempt = probers_.at(key.type)(std::move(target));
    const ProbeAnswer answer = co_await std::move(attempt);
    if (check->ended) co_return;
    const bool passed = answer.outcome == CheckOutcome::kPassed;
    if (!passed) {
      const std::string no_way = DataplaneIsAway() ? kDataplaneAway : no_way_(key.address);
      if (!no_way.empty()) check->machine.Pause();
      if (const std::string& reason = no_way.empty() ? answer.skipped : no_way; !reason.empty()) {
        ProbeSkipped(*check, reason);
        continue;
      }
    }
    const bool changed = check->machine.Finish(probe, passed);
    const auto failures =
        static_cast<uint16_t>(std::min<uint32_t>(check->machine.failures_in_row(), UINT16_MAX));
    const CheckResult verdict{answer.outcome, answer.detail, key.port, failures, key.type->number};
    for (const uint32_t id : check->backends) board_->SetProbe(id, verdict);
    if (!changed) continue;
    check->verdict = verdict;
    Report(*check);
  }
}

bool HealthChecks::DataplaneIsAway() {
  const bool is_connected = board_->dataplane().connected;
  dataplane_was_connected_ |= is_connected;
  return dataplane_was_connected_ && !is_connected;
}

void HealthChecks::ProbeSkipped(const Check& check, const std::string& reason) {
  const auto shared = std::make_shared<const std::string>(reason);
  for (const uint32_t id : check.backends) board_->SetProbeNotMade(id, shared);
  ++skipped_;
  const SteadyTime now = SteadyNow();
  if (skipped_logged_at_ != SteadyTime{} && now < skipped_logged_at_ + kSkippedPeriod) return;
  Log(LogLevel::kError, "probes_skipped",
      {{"count", std::exchange(skipped_, 0)}, {"reason", reason}});
  skipped_logged_at_ = now;
}

void HealthChecks::Report(const Check& check) {
  for (const uint32_t id : check.backends) {
    const auto plan = plans_.find(id);
    if (plan != plans_.end() && plan->second.several()) {
      AssignFromSeveral(id, plan->second);
    } else if (check.machine.state() != HealthState::kInitial) {
      Assign(id, check.machine.state(), check.verdict);
    }
  }
}

void HealthChecks::AssignFromSeveral(uint32_t backend_id, const Plan& plan) {
  const auto has_state = [&](HealthState state) {
    return [state](const auto& check) { return check->machine.state() == state; };
  };
  const auto failed = std::ranges::find_if(plan.checks, has_state(HealthState::kUnhealthy));
  if (failed != plan.checks.end()) {
    Assign(backend_id, HealthState::kUnhealthy, (*failed)->verdict);
  } else if (std::ranges::all_of(plan.checks, has_state(HealthState::kHealthy))) {
    Assign(backend_id, HealthState::kHealthy, plan.checks.front()->verdict);
  }
}

void HealthChecks::Assign(uint32_t backend_id, HealthState state, const CheckResult& verdict) {
  const BackendStatus* backend = board_->Find(backend_id);
  if (backend == nullptr) return;
  const bool changed = backend->health.state != state;
  board_->SetHealth(backend_id, state, verdict);
  if (!changed) return;
  const bool healthy = state == HealthState::kHealthy;
  Log(healthy ? LogLevel::kInfo : LogLevel::kWarning,
      healthy ? "backend_healthy" : "backend_unhealthy",
      {{"service", backend->service},
       {"backend", backend->endpoint.ToString()},
       {"reason", CheckResultText(verdict)}});
}

}  // namespace fairlead
