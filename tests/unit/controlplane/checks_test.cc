#include "controlplane/observe/health/checks.h"

#include <poll.h>

#include <set>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include "controlplane/common/event.h"
#include "controlplane/common/log.h"
#include "controlplane/core/status_text.h"
#include "lib/host/unique_fd.h"
#include "lib/intent/checks/check_ports.h"
#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using testing::HasSubstr;

// Probes wait here until the test answers them.
struct ScriptedProbes {
  explicit ScriptedProbes(asio::any_io_executor executor) : asked(executor), answered(executor) {}

  Prober AsProber() {
    return [this](ProbeTarget target) -> asio::awaitable<ProbeAnswer> {
      targets.push_back(target.address.ToString() + ":" + std::to_string(target.port));
      asked.Notify();
      while (answers == 0) {
        co_await answered.Wait(std::chrono::steady_clock::now() + std::chrono::hours(1));
      }
      --answers;
      co_return answer;
    };
  }
  void Answer(bool passed) {
    if (passed) return Answer(ProbeAnswer{CheckOutcome::kPassed});
    Answer(ProbeAnswer{CheckOutcome::kFailed, ECONNREFUSED});
  }
  void Answer(ProbeAnswer given) {
    answer = std::move(given);
    ++answers;
    answered.Notify();
  }

  std::vector<std::string> targets;
  ProbeAnswer answer;
  int answers = 0;
  Event asked;
  Event answered;
};

class ChecksTest : public CoreTest {
 protected:
  void Open() override {
    CoreTest::Open();
    probes_ = std::make_unique<ScriptedProbes>(context_->get_executor());
    UseProber(probes_->AsProber());
  }
  void Close() override {
    checks_.reset();
    // The context destroys the coroutines that wait. It must go before the events that they wait
    // for.
    log_.reset();
    store_.reset();
    context_.reset();
    probes_.reset();
    CoreTest::Close();
  }
  void UseProber(Prober prober) {
    checks_ = std::make_unique<HealthChecks>(context_->get_executor(), board_.get(),
                                             Probers{{&kTcpCheck, std::move(prober)}},
                                             [this](const IpAddress&) { return no_way_; });
  }

  void Change(Mutation mutation) {
    const Result<Committed> applied = Apply(std::move(mutation));
    ASSERT_TRUE(applied.ok()) << applied.status().message();
    checks_->Reconcile(View());
  }
  void Add(const std::string& json) { Change(AddService(ParseServiceSpec(json))); }
  HealthState State(const std::string& service, const std::string& endpoint) {
    return StatusOf(service, endpoint).health.state;
  }
  std::string Reason(const std::string& service, const std::string& endpoint) {
    return CheckResultText(StatusOf(service, endpoint).health.verdict);
  }
  // How often the health of a backend changed.
  int HealthChanges() {
    int count = 0;
    EXPECT_TRUE(board_->VisitChangesSince(1, [&](const StatusBoard::Change& change) {
      count += change.facet == StatusBoard::Facet::kHealth ? 1 : 0;
    }));
    return count;
  }

  // Answers at once. Fails for failing_port_, passes for all other ports.
  Prober PortProber() {
    return [this](ProbeTarget target) -> asio::awaitable<ProbeAnswer> {
      ProbeAnswer answer{CheckOutcome::kPassed};
      if (target.port == failing_port_) answer = {CheckOutcome::kFailed, ECONNREFUSED};
      co_return answer;
    };
  }

  void SetConnected(bool connected) {
    DataplaneStatus status;
    status.connected = connected;
    board_->SetDataplane(status);
    checks_->Reconcile(View());
  }
  // Answers the check's next probe.
  void AnswerNext(bool passed) {
    const size_t count = probes_->targets.size();
    probes_->Answer(passed);
    ASSERT_TRUE(RunUntil([&] { return probes_->targets.size() > count; }));
  }

  std::string no_way_;
  uint16_t failing_port_ = 0;
  std::unique_ptr<ScriptedProbes> probes_;
  std::unique_ptr<HealthChecks> checks_;
};

TEST_F(ChecksTest, BackendWithoutACheckIsHealthyAtOnce) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"],
          "health_check": {"type": "none"}})");
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kHealthy);
  EXPECT_EQ(HealthChanges(), 1);
  EXPECT_EQ(checks_->check_count(), 0U);
}

TEST_F(ChecksTest, NewBackendIsInitialUntilItsFirstProbePasses) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"]})");
  ASSERT_TRUE(RunUntil([&] { return probes_->targets.size() == 1; }));
  EXPECT_EQ(probes_->targets[0], "10.0.0.1:80");
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kInitial);
  probes_->Answer(true);
  ASSERT_TRUE(RunUntil([&] { return HealthChanges() == 1; }));
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kHealthy);
}

TEST_F(ChecksTest, AllPortsMustPass) {
  Add(R"({"name": "a", "backends": ["10.0.0.1"], "health_check": {"ports": "all", "interval": "100ms",
          "timeout": "50ms", "rise": 1, "fall": 1},
          "frontends": ["203.0.113.1:80/tcp", "203.0.113.1:443/tcp", "203.0.113.1:53/udp",
                        "203.0.113.1:8000-8999/tcp"]})");
  EXPECT_EQ(checks_->check_count(), 3U);
  ASSERT_TRUE(RunUntil([&] { return probes_->targets.size() == 3; }));
  EXPECT_EQ((std::set<std::string>{probes_->targets.begin(), probes_->targets.end()}),
            (std::set<std::string>{"10.0.0.1:80", "10.0.0.1:443", "10.0.0.1:8000"}));
  probes_->Answer(true);
  ASSERT_TRUE(RunUntil([&] { return probes_->answers == 0; }));
  probes_->Answer(true);
  ASSERT_TRUE(RunUntil([&] { return probes_->answers == 0; }));
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kInitial);  // not all have passed
  EXPECT_EQ(HealthChanges(), 0);
}

TEST_F(ChecksTest, OneFailingPortOfSeveralMakesABackendUnhealthy) {
  failing_port_ = 443;
  UseProber(PortProber());
  Add(R"({"name": "a", "backends": ["10.0.0.1"], "health_check": {"ports": "all", "interval": "100ms",
          "timeout": "50ms", "rise": 1, "fall": 1},
          "frontends": ["203.0.113.1:80/tcp", "203.0.113.1:443/tcp"]})");
  const auto state = [&] { return State("a", "10.0.0.1"); };
  ASSERT_TRUE(RunUntil([&] { return state() == HealthState::kUnhealthy; }));
  EXPECT_THAT(Reason("a", "10.0.0.1"), HasSubstr("port 443"));
  failing_port_ = 0;
  ASSERT_TRUE(RunUntil([&] { return state() == HealthState::kHealthy; }));
  failing_port_ = 80;
  ASSERT_TRUE(RunUntil([&] { return state() == HealthState::kUnhealthy; }));
  EXPECT_THAT(Reason("a", "10.0.0.1"), HasSubstr("port 80"));
}

TEST_F(ChecksTest, FirstPortDecidesByDefault) {
  failing_port_ = 443;
  UseProber(PortProber());
  Add(R"({"name": "a", "backends": ["10.0.0.1"],
          "frontends": ["203.0.113.1:8000-8999/tcp", "203.0.113.1:443/tcp"]})");
  EXPECT_EQ(checks_->check_count(), 1U);
  ASSERT_TRUE(RunUntil([&] { return State("a", "10.0.0.1") == HealthState::kHealthy; }));
  EXPECT_THAT(Reason("a", "10.0.0.1"), HasSubstr("port 8000"));
}

TEST_F(ChecksTest, ServicesThatShareABackendShareOneCheck) {
  for (const char* name : {"a", "b", "c"}) {
    Add(R"({"name": ")" + std::string(name) + R"(", "frontends": ["203.0.113.)" +
        std::to_string(name[0] - 'a' + 1) + R"(:80/tcp"], "backends": ["10.0.0.1"]})");
  }
  EXPECT_EQ(checks_->check_count(), 1U);
  ASSERT_TRUE(RunUntil([&] { return !probes_->targets.empty(); }));
  probes_->Answer(true);
  ASSERT_TRUE(RunUntil([&] { return HealthChanges() == 3; }));
  EXPECT_EQ(probes_->targets.size(), 1U);
  for (const char* name : {"a", "b", "c"}) {
    EXPECT_EQ(State(name, "10.0.0.1"), HealthState::kHealthy) << name;
  }
}

TEST_F(ChecksTest, OtherParametersOrPortsGetSeparateChecks) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"]})");
  Add(R"({"name": "b", "frontends": ["203.0.113.2:80/tcp"], "backends": ["10.0.0.1"],
          "health_check": {"fall": 5}})");
  Add(R"({"name": "c", "frontends": ["203.0.113.3:80/tcp"], "backends": ["10.0.0.1"],
          "health_check": {"port": 8080}})");
  EXPECT_EQ(checks_->check_count(), 3U);
}

TEST_F(ChecksTest, NewBackendOnACheckedEndpointHasItsStateAtOnce) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"]})");
  ASSERT_TRUE(RunUntil([&] { return !probes_->targets.empty(); }));
  probes_->Answer(true);
  ASSERT_TRUE(RunUntil([&] { return HealthChanges() == 1; }));
  Add(R"({"name": "b", "frontends": ["203.0.113.2:80/tcp"], "backends": ["10.0.0.1"]})");
  EXPECT_EQ(State("b", "10.0.0.1"), HealthState::kHealthy);
}

TEST_F(ChecksTest, RunningProbeDoesNotCountForABackendThatWasRemovedAndAddedAgain) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"]})");
  ASSERT_TRUE(RunUntil([&] { return !probes_->targets.empty(); }));
  Change(RemoveBackend("a", ParseEndpoint("10.0.0.1")));
  // Add the same endpoint again while the old probe still runs. The backend must start as initial.
  Change(AddBackends("a", {ParseBackendSpec(R"("10.0.0.1")")}));
  probes_->Answer(true);  // the old probe's answer
  context_->restart();
  context_->poll();
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kInitial);
  EXPECT_EQ(HealthChanges(), 0);
}

TEST_F(ChecksTest, KnownBackendKeepsItsStateWhenParametersChange) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"]})");
  ASSERT_TRUE(RunUntil([&] { return !probes_->targets.empty(); }));
  probes_->Answer(true);
  ASSERT_TRUE(RunUntil([&] { return HealthChanges() == 1; }));
  Change(ReplaceService(ParseServiceSpec(
      R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"],
          "backends": ["10.0.0.1"], "health_check": {"fall": 7}})")));
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kHealthy);
  EXPECT_EQ(HealthChanges(), 1) << "a state that did not change must not be published";
}

TEST_F(ChecksTest, UnhealthyReasonNamesTheError) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"],
          "health_check": {"fall": 1}})");
  ASSERT_TRUE(RunUntil([&] { return !probes_->targets.empty(); }));
  probes_->Answer(false);
  ASSERT_TRUE(RunUntil([&] { return HealthChanges() == 1; }));
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kUnhealthy);
  EXPECT_THAT(Reason("a", "10.0.0.1"), HasSubstr("Connection refused"));
}

TEST_F(ChecksTest, SkippedProbesDoNotChangeTheState) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"],
          "health_check": {"fall": 1, "interval": "100ms", "timeout": "50ms"}})");
  for (size_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(RunUntil([&] { return probes_->targets.size() == i; }));
    probes_->Answer(ProbeAnswer{.skipped = "Too many open files"});
  }
  ASSERT_TRUE(RunUntil([&] { return probes_->targets.size() == 4; }));
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kInitial);
  EXPECT_EQ(HealthChanges(), 0);
  probes_->Answer(false);
  ASSERT_TRUE(RunUntil([&] { return HealthChanges() == 1; }));
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kUnhealthy);
}

TEST_F(ChecksTest, BackendsKeepTheirStateWhileTheHostHasNoWayToThem) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"],
          "health_check": {"fall": 2, "interval": "100ms", "timeout": "50ms"}})");
  ASSERT_TRUE(RunUntil([&] { return probes_->targets.size() == 1; }));
  AnswerNext(true);
  AnswerNext(false);  // the first of two failures
  no_way_ = "wan0 has no carrier";
  for (int i = 0; i < 4; ++i) AnswerNext(false);
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kHealthy);
  EXPECT_EQ(*StatusOf("a", "10.0.0.1").probe.not_made, "wan0 has no carrier");
  no_way_ = "";
  AnswerNext(false);  // does not count
  EXPECT_EQ(StatusOf("a", "10.0.0.1").probe.not_made, nullptr);
  AnswerNext(false);
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kHealthy);
  AnswerNext(false);
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kUnhealthy);
}

TEST_F(ChecksTest, NoCheckIsMadeWhileTheDataplaneIsAway) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"],
          "health_check": {"fall": 2, "interval": "100ms", "timeout": "50ms"}})");
  SetConnected(true);
  ASSERT_TRUE(RunUntil([&] { return probes_->targets.size() == 1; }));
  AnswerNext(true);
  AnswerNext(false);
  SetConnected(false);
  probes_->Answer(false);  // of the probe that was running
  const auto not_made = [&] { return StatusOf("a", "10.0.0.1").probe.not_made; };
  ASSERT_TRUE(RunUntil([&] { return not_made() != nullptr; }));
  EXPECT_EQ(*not_made(), "the dataplane is away");
  const size_t made = probes_->targets.size();
  const SteadyTime later = SteadyNow() + milliseconds(400);
  ASSERT_TRUE(RunUntil([&] { return SteadyNow() >= later; }));
  EXPECT_EQ(probes_->targets.size(), made);
  SetConnected(true);
  ASSERT_TRUE(RunUntil([&] { return probes_->targets.size() > made; }));
  AnswerNext(false);  // does not count
  AnswerNext(false);
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kHealthy);
  AnswerNext(false);
  EXPECT_EQ(State("a", "10.0.0.1"), HealthState::kUnhealthy);
}

TEST_F(ChecksTest, ChecksAreMadeBeforeADataplaneHasEverConnected) {
  Add(R"({"name": "a", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"]})");
  SetConnected(false);
  ASSERT_TRUE(RunUntil([&] { return probes_->targets.size() == 1; }));
  probes_->Answer(true);
  ASSERT_TRUE(RunUntil([&] { return State("a", "10.0.0.1") == HealthState::kHealthy; }));
}

TEST(MakeProbers, HasAProberForEachTypeThatProbes) {
  const Probers probers = MakeProbers(1);
  for (const CheckType* type : CheckTypes()) {
    EXPECT_EQ(probers.contains(type), type->probes) << type->name;
  }
}

TEST(CheckPorts, UsesTheCheckThenTheBackendThenTheFirstFrontend) {
  ServiceSpec service;
  BackendSpec backend;
  service.frontends = {*Frontend::Parse("203.0.113.1:443/tcp")};
  EXPECT_THAT(CheckPorts(service, backend), testing::ElementsAre(443));
  backend.endpoint.port = 8080;
  EXPECT_THAT(CheckPorts(service, backend), testing::ElementsAre(8080));
  service.health_check.port = 9000;
  EXPECT_THAT(CheckPorts(service, backend), testing::ElementsAre(9000));
}

// The real prober, against loopback.
class TcpProberTest : public testing::Test {
 protected:
  ProbeAnswer Probe(uint16_t port, milliseconds timeout, size_t most_at_once = 8) {
    ProbeAnswer answer;
    const Probers probers = MakeProbers(most_at_once);
    asio::co_spawn(context_,
                   probers.at(&kTcpCheck)({*IpAddress::Parse("127.0.0.1"), port, timeout}),
                   [&](std::exception_ptr, ProbeAnswer result) { answer = std::move(result); });
    context_.restart();
    context_.run();
    return answer;
  }

  asio::io_context context_;
};

TEST_F(TcpProberTest, PassesWhereAServerListens) {
  asio::ip::tcp::acceptor acceptor(context_, {asio::ip::address_v4::loopback(), 0});
  EXPECT_EQ(Probe(acceptor.local_endpoint().port(), milliseconds(5000)).outcome,
            CheckOutcome::kPassed);
}

TEST_F(TcpProberTest, ForgetsAProbeThatDidNotEnd) {
  const Probers probers = MakeProbers(1);
  asio::ip::tcp::acceptor acceptor(context_, {asio::ip::address_v4::loopback(), 0});
  const ProbeTarget target{*IpAddress::Parse("127.0.0.1"), acceptor.local_endpoint().port(),
                           milliseconds(5000)};
  {
    asio::io_context abandoned;
    asio::co_spawn(abandoned, probers.at(&kTcpCheck)(target), asio::detached);
    abandoned.poll_one();
    ASSERT_FALSE(abandoned.stopped()) << "the probe must still run";
  }
  ProbeAnswer answer;
  asio::co_spawn(context_, probers.at(&kTcpCheck)(target),
                 [&](std::exception_ptr, ProbeAnswer result) { answer = std::move(result); });
  context_.run();
  EXPECT_EQ(answer.outcome, CheckOutcome::kPassed);
  EXPECT_EQ(answer.skipped, "");
}

TEST_F(TcpProberTest, SkipsTheProbeWhenFileDescriptorsRunOut) {
  asio::ip::tcp::acceptor acceptor(context_, {asio::ip::address_v4::loopback(), 0});
  const uint16_t port = acceptor.local_endpoint().port();
  const ProbeAnswer one_too_many = Probe(port, milliseconds(5000), 0);
  EXPECT_THAT(one_too_many.skipped, HasSubstr("all that the file descriptor limit allows"));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const ProbeAnswer without_file_descriptors = Probe(port, milliseconds(5000));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_NE(without_file_descriptors.skipped, "");
}

TEST_F(TcpProberTest, FailsWhereNoServerListens) {
  // Holds the port, so that no other process can listen on it.
  asio::ip::tcp::acceptor holder(context_);
  holder.open(asio::ip::tcp::v4());
  holder.bind({asio::ip::address_v4::loopback(), 0});
  const ProbeAnswer answer = Probe(holder.local_endpoint().port(), milliseconds(5000));
  EXPECT_EQ(answer.outcome, CheckOutcome::kFailed);
  EXPECT_EQ(answer.detail, ECONNREFUSED);
  EXPECT_EQ(answer.skipped, "");
}

TEST_F(TcpProberTest, HungConnectTimesOut) {
  // A full accept queue: further SYNs get no answer.
  asio::ip::tcp::acceptor acceptor(context_);
  acceptor.open(asio::ip::tcp::v4());
  acceptor.bind({asio::ip::address_v4::loopback(), 0});
  acceptor.listen(0);
  const asio::ip::tcp::endpoint endpoint = acceptor.local_endpoint();
  std::vector<UniqueFd> fillers;
  for (int i = 0; i < 4; ++i) {
    fillers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    (void)::connect(fillers.back().get(), endpoint.data(), static_cast<socklen_t>(endpoint.size()));
  }
  pollfd full = {acceptor.native_handle(), POLLIN, 0};
  ASSERT_EQ(::poll(&full, 1, 10'000), 1) << "no connection waits to be accepted";
  const ProbeAnswer answer = Probe(acceptor.local_endpoint().port(), milliseconds(100));
  EXPECT_EQ(answer.outcome, CheckOutcome::kTimedOut);
  EXPECT_EQ(answer.detail, 100);
}

}  // namespace
}  // namespace fairlead
