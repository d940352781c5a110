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
#include "lib/intent/checks/checked_frontends.h"

namespace fairlead {
namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// The first probes of new backends are spread over this time, and many more than that one after
// the other, at most over their interval: a TLS handshake takes more than a millisecond of CPU time,
// so the probes of a thousand new backends that began together would not end within their timeout.
constexpr uint32_t kFirstProbeSpreadMs = 50;
constexpr uint32_t kBetweenFirstProbesMs = 2;
constexpr std::chrono::minutes kSkippedPeriod{1};  // between two log lines
// Between two looks whether the dataplane has a new backend; doubled each time, up to the interval.
constexpr milliseconds kFirstWaitInForce{5};
constexpr const char* kNotInForce = "the dataplane does not have the last change in force";
constexpr const char* kAllPortsUsed = "4096 probes through the dataplane are running, the most";
constexpr const char* kDataplaneAway = "the dataplane is away";

uint32_t RandomBelow(uint32_t limit) {
  static std::minstd_rand generator{std::random_device{}()};
  return limit == 0 ? 0 : static_cast<uint32_t>(generator() % limit);
}

// 90% to 100% of the interval, so that checks that started together do not stay in step. Never more:
// a backend that fails is unhealthy after `fall` intervals and a timeout.
milliseconds Jittered(uint32_t interval_ms) {
  return milliseconds(interval_ms - RandomBelow(interval_ms / 10 + 1));
}

}  // namespace

struct HealthChecks::Check {
  Check(const CheckKey& key_in, uint64_t revision_in, asio::any_io_executor executor)
      : key(key_in),
        revision(revision_in),
        machine(key_in.rise, key_in.fall, HealthState::kInitial),
        timer(executor) {}

  CheckKey key;
  // A check through the dataplane waits until this revision of the intent is in force: before, the
  // dataplane does not have the backend or the frontend.
  uint64_t revision;
  milliseconds wait_in_force = kFirstWaitInForce;
  CheckMachine machine;
  asio::steady_timer timer;
  std::set<uint32_t> backends;
  CheckResult verdict;  // the check result that led to the present state
  std::optional<int64_t> certificate_not_after_s = {};  // as the last probe saw it
  bool ended = false;
};

// The checks of one backend.
struct HealthChecks::Plan {
  std::vector<std::shared_ptr<Check>> checks;
  bool several() const { return checks.size() > 1; }
};

HealthChecks::HealthChecks(asio::any_io_executor executor, StatusBoard* board, Probers probers,
                           NoWay no_way, ProbePath* path, IsolationGuard* guard)
    : executor_(std::move(executor)),
      board_(board),
      certificates_(board),
      probers_(std::move(probers)),
      no_way_(std::move(no_way)),
      path_(path),
      guard_(guard),
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
  following_revision_ = view->revision;
  new_checks_ = 0;
  if (std::exchange(dataplane_is_away_, DataplaneIsAway()) && !dataplane_is_away_) {
    for (const auto& [key, check] : checks_) check->machine.Pause();
  }
  ChecksToReport touched;
  FollowPath(&touched);
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
  if (service != nullptr) {
    wanted =
        PlanChecks(service->settings, backend, [this](Family family) { return no_path_[family]; });
  }
  Detach(backend.id, wanted);
  if (service == nullptr) {
    plans_.erase(backend.id);
    certificates_.Forget(backend.id);
    return;
  }
  if (wanted.empty()) {
    plans_.erase(backend.id);
    ReportCertificate(backend.id);
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
  ReportCertificate(backend.id);
}

void HealthChecks::ReportCertificate(uint32_t backend_id) {
  std::optional<int64_t> first;
  const auto plan = plans_.find(backend_id);
  if (plan != plans_.end()) {
    for (const std::shared_ptr<Check>& check : plan->second.checks) {
      const std::optional<int64_t>& end = check->certificate_not_after_s;
      if (end && (!first || *end < *first)) first = end;
    }
  }
  certificates_.Learn(backend_id, first);
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
  if (is_new) check = std::make_shared<Check>(key, following_revision_, executor_);
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
  const uint32_t delay = RandomBelow(checks_.size() == 1 ? 1 : spread);
  const uint32_t before = kBetweenFirstProbesMs * std::exchange(new_checks_, new_checks_ + 1);
  check->timer.expires_after(milliseconds((before + delay) % key.interval_ms));
  SpawnLoop(executor_, "check", [this, check] { return Run(check); });
}

asio::awaitable<void> HealthChecks::Run(std::shared_ptr<Check> check) {
  boost::system::error_code error;
  for (;;) {
    co_await check->timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
    if (check->ended) co_return;
    if (AwaitsDataplane(check.get())) continue;
    check->timer.expires_after(Jittered(check->key.interval_ms));
    if (DataplaneIsAway()) {
      ProbeSkipped(*check, kDataplaneAway);
      continue;
    }
    const uint64_t probe = check->machine.Begin();
    const CheckKey& key = check->key;
    asio::awaitable<ProbeAnswer> attempt = Probe(key);
    const ProbeAnswer answer = co_await std::move(attempt);
    if (check->ended) co_return;
    if (answer.certificate_not_after_s) {
      check->certificate_not_after_s = answer.certificate_not_after_s;
      for (const uint32_t id : check->backends) ReportCertificate(id);
    }
    const bool passed = answer.outcome == CheckOutcome::kPassed;
    if (!passed) {
      asio::awaitable<std::string> asked = WhyNotCounted(check, answer.skipped.empty());
      const std::string no_way = co_await std::move(asked);
      if (check->ended) co_return;
      if (!no_way.empty()) check->machine.Pause();
      if (const std::string& reason = no_way.empty() ? answer.skipped : no_way; !reason.empty()) {
        ProbeSkipped(*check, reason);
        continue;
      }
    }
    const bool changed = check->machine.Finish(probe, passed);
    const auto failures =
        static_cast<uint16_t>(std::min<uint32_t>(check->machine.failures_in_row(), UINT16_MAX));
    CheckResult verdict{answer.outcome, answer.detail, key.port, failures, key.type->number};
    if (key.through) verdict.frontend = key.through->frontend;
    for (const uint32_t id : check->backends) board_->SetProbe(id, verdict);
    if (!changed) continue;
    check->verdict = verdict;
    Report(*check);
    if (passed || !key.through) continue;
    asio::awaitable<void> direct = ProbeDirectly(check);
    co_await std::move(direct);
    if (check->ended) co_return;
  }
}

bool HealthChecks::AwaitsDataplane(Check* check) {
  const DataplaneStatus& dataplane = board_->dataplane();
  if (!check->key.through || !dataplane.connected ||
      dataplane.in_force_revision >= check->revision) {
    return false;
  }
  check->timer.expires_after(check->wait_in_force);
  check->wait_in_force = std::min(check->wait_in_force * 2, milliseconds(check->key.interval_ms));
  if (check->wait_in_force == milliseconds(check->key.interval_ms)) {
    ProbeSkipped(*check, kNotInForce);
  }
  return true;
}

asio::awaitable<ProbeAnswer> HealthChecks::Probe(CheckKey key) {
  ProbeTarget target{key.address, key.port, milliseconds(key.timeout_ms), std::move(key.settings)};
  target.backend = key.address;
  std::optional<ProbePath::Lease> lease;
  if (key.through) {
    const Family family = key.through->address.family();
    const std::string why_not = WhyNotThroughDataplane(family);
    if (!why_not.empty()) co_return ProbeAnswer{.skipped = why_not};
    if (!board_->dataplane().probes_open) co_return ProbeAnswer{.skipped = kDataplaneAway};
    lease = path_->Take(key.through->backend_id);
    if (!lease) co_return ProbeAnswer{.skipped = kAllPortsUsed};
    const IpAddress source = *path_->SourceFor(family, key.address);
    target.source = ProbeSource{source, lease->port(), kProbeMark};
    target.address = key.through->address;
  }
  asio::awaitable<ProbeAnswer> attempt = probers_.at(key.type)(std::move(target));
  co_return co_await std::move(attempt);
}

asio::awaitable<void> HealthChecks::ProbeDirectly(std::shared_ptr<Check> check) {
  CheckKey key = check->key;
  key.through.reset();
  asio::awaitable<ProbeAnswer> attempt = Probe(std::move(key));
  const ProbeAnswer answer = co_await std::move(attempt);
  if (check->ended || answer.outcome != CheckOutcome::kPassed) co_return;
  check->verdict.passes_directly = true;
  Report(*check);
}

std::string HealthChecks::WhyNotThroughDataplane(Family family) const {
  return path_ == nullptr ? "fairleadd makes none" : path_->WhyNot(family);
}

std::string HealthChecks::WhyChecksAreDirect(const ServiceSpec& service) const {
  return WhyDirect(service, [this](Family family) { return WhyNotThroughDataplane(family); });
}

void HealthChecks::FollowPath(ChecksToReport* touched) {
  std::map<Family, std::string> now;
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    now[family] = WhyNotThroughDataplane(family);
  }
  // While the dataplane is away the checks stay as they are.
  if (now == no_path_ || DataplaneIsAway()) return;
  no_path_ = std::move(now);
  size_t direct_count = 0;
  std::string why;
  for (const auto& service : view_->services) {
    const ServiceSpec& settings = service->settings;
    if (settings.health_check.via || !ChecksThroughDataplane(settings)) continue;
    for (const auto& backend : service->backends) Follow(service.get(), *backend, touched);
    std::string why_direct = WhyDirect(settings, [this](Family each) { return no_path_.at(each); });
    if (why_direct.empty()) continue;
    ++direct_count;
    why = std::move(why_direct);
  }
  if (direct_count == 0 || !board_->dataplane().connected) return;
  Log(LogLevel::kWarning, "checks_are_direct", {{"services", direct_count}, {"reason", why}});
}

asio::awaitable<std::string> HealthChecks::WhyNotCounted(std::shared_ptr<Check> check,
                                                         bool was_made) {
  if (DataplaneIsAway()) co_return kDataplaneAway;
  const IpAddress& address = check->key.address;
  const milliseconds window(uint64_t{2} * check->key.interval_ms);
  const bool guarded = guard_ != nullptr && check->machine.state() == HealthState::kHealthy;
  std::string no_way = no_way_(address);
  if (!no_way.empty() && guarded) guard_->OnNoWay(address, window);
  if (!no_way.empty() || !guarded || !was_made || !check->machine.NextFailureDecides()) {
    co_return no_way;
  }
  asio::awaitable<std::string> held = guard_->WhyHeld(address, window);
  co_return co_await std::move(held);
}

size_t HealthChecks::healthy_endpoints() const {
  std::set<IpAddress> healthy;
  for (const auto& [key, check] : checks_) {
    if (check->machine.state() == HealthState::kHealthy) healthy.insert(key.address);
  }
  return healthy.size();
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
  const ServiceIntent* service = view_->Find(backend->service);
  const CheckedBackend checked{service == nullptr ? nullptr : &service->settings,
                               &backend->endpoint.address};
  Log(healthy ? LogLevel::kInfo : LogLevel::kWarning,
      healthy ? "backend_healthy" : "backend_unhealthy",
      {{"service", backend->service},
       {"backend", backend->endpoint.ToString()},
       {"reason", CheckResultText(verdict, checked)}});
}

}  // namespace fairlead
