// Health checks through the dataplane: which path a check takes, and what its probes are sent with.
#include <fcntl.h>

#include <set>

#include <gmock/gmock.h>
#include <sys/mman.h>

#include "controlplane/common/event.h"
#include "controlplane/core/status_text.h"
#include "controlplane/observe/health/checks.h"
#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kTwoFamilies = R"({"name": "web",
    "frontends": ["203.0.113.1:80/tcp", "[2001:db8::1]:80/tcp"], "backends": ["10.0.0.1"],
    "health_check": {"ports": "all", "interval": "100ms", "timeout": "50ms"}})";

class CheckPathTest : public CoreTest {
 protected:
  void Open() override {
    CoreTest::Open();
    path_ = ProbePath::Create(
                board_.get(), [this]() -> const auto& { return host_; })
                .value();
    checks_ = std::make_unique<HealthChecks>(
        context_->get_executor(), board_.get(),
        Probers{{&kTcpCheck, [this](ProbeTarget target) { return Answer(std::move(target)); }}},
        [](const IpAddress&) { return std::string(); }, path_.get());
    rules_.SetDataplane(&board_->dataplane());
    dataplane_ = {};
  }
  void Close() override {
    checks_.reset();
    CoreTest::Close();
    path_.reset();
  }

  // Answers at once: passes unless the address is in failing_.
  boost::asio::awaitable<ProbeAnswer> Answer(ProbeTarget target) {
    const std::string to = target.address.ToString();
    probed_.insert(to);
    last_[to] = target;
    ProbeAnswer answer{CheckOutcome::kPassed};
    if (failing_.contains(to)) answer = {CheckOutcome::kTimedOut, 50};
    co_return answer;
  }

  static IpAddress Address(const std::string& text) { return *IpAddress::Parse(text); }

  // A dataplane that takes probes, with these addresses, which the kernel has, too.
  void Connect(const std::vector<std::string>& addresses) {
    dataplane_.connected = true;
    dataplane_.probes_open = true;
    dataplane_.no_probes = "";
    dataplane_.own_addresses.clear();
    for (const std::string& each : addresses) {
      dataplane_.own_addresses.push_back(Address(each));
      host_[Address(each)] = "eth0";
    }
    dataplane_.in_force_revision = View()->revision;
    Update();
  }
  void Update() {
    board_->SetDataplane(dataplane_);
    checks_->Reconcile(View());
  }
  void Add(const std::string& json) {
    const Result<Committed> applied = Apply(AddService(ParseServiceSpec(json)));
    ASSERT_TRUE(applied.ok()) << applied.status().message();
    checks_->Reconcile(View());
  }
  void PutInForce() {
    dataplane_.in_force_revision = View()->revision;
    Update();
  }
  std::string WhyDirect() { return checks_->WhyChecksAreDirect(View()->Find("web")->settings); }
  const Health& WebHealth() { return StatusOf("web", "10.0.0.1").health; }
  std::string Reason() {
    const IpAddress backend = Address("10.0.0.1");
    return CheckResultText(WebHealth().verdict, {&View()->Find("web")->settings, &backend});
  }
  // Runs until each of these was probed.
  bool Probes(const std::set<std::string>& addresses) {
    probed_.clear();
    return RunUntil([&] { return std::ranges::includes(probed_, addresses); });
  }

  std::map<IpAddress, std::string> host_;
  std::set<std::string> failing_;
  std::set<std::string> probed_;
  std::map<std::string, ProbeTarget> last_;
  DataplaneStatus dataplane_;
  std::unique_ptr<ProbePath> path_;
  std::unique_ptr<HealthChecks> checks_;
};

TEST_F(CheckPathTest, ProbesEveryFrontendFromAnAddressOfItsFamily) {
  Add(kTwoFamilies);
  Connect({"10.0.0.2", "2001:db8:a::2"});
  ASSERT_TRUE(Probes({"203.0.113.1", "2001:db8::1"}));
  EXPECT_THAT(probed_, ElementsAre("2001:db8::1", "203.0.113.1"));
  const ProbeTarget& target = last_.at("203.0.113.1");
  ASSERT_TRUE(target.source.has_value());
  EXPECT_EQ(target.source->address, Address("10.0.0.2"));
  EXPECT_EQ(target.source->mark, kProbeMark);
  EXPECT_EQ(target.port, 80);
  EXPECT_EQ(target.backend, Address("10.0.0.1"));
  EXPECT_EQ(last_.at("2001:db8::1").source->address, Address("2001:db8:a::2"));
  ASSERT_TRUE(RunUntil([&] { return WebHealth().state == HealthState::kHealthy; }));
  EXPECT_EQ(Reason(), "tcp check of 203.0.113.1:80 through the dataplane passes");
  EXPECT_EQ(WhyDirect(), "");
}

TEST_F(CheckPathTest, TellsTheDataplaneForWhichBackendASourcePortIs) {
  Add(kTwoFamilies);
  Connect({"10.0.0.2", "2001:db8:a::2"});
  ASSERT_TRUE(Probes({"203.0.113.1"}));
  const size_t place = last_.at("203.0.113.1").source->port - size_t{kFirstProbePort};
  const auto bytes = kProbePorts * sizeof(uint32_t);
  const auto* targets = static_cast<const uint32_t*>(
      ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, path_->targets_fd(), 0));
  ASSERT_NE(targets, MAP_FAILED);
  EXPECT_EQ(targets[place], Backend("web", "10.0.0.1")->id);
  ::munmap(const_cast<uint32_t*>(targets), bytes);
  EXPECT_NE(::fcntl(path_->targets_fd(), F_GET_SEALS) & F_SEAL_SHRINK, 0);
}

TEST_F(CheckPathTest, IsDirectUntilADataplaneTakesProbes) {
  Add(kTwoFamilies);
  ASSERT_TRUE(Probes({"10.0.0.1"}));
  EXPECT_FALSE(last_.at("10.0.0.1").source.has_value());
  EXPECT_EQ(WhyDirect(), "no dataplane has been connected yet");
  ASSERT_TRUE(RunUntil([&] { return WebHealth().state == HealthState::kHealthy; }));
  Connect({"10.0.0.2", "2001:db8:a::2"});
  ASSERT_TRUE(Probes({"203.0.113.1", "2001:db8::1"}));
  EXPECT_THAT(probed_, ::testing::Not(::testing::Contains("10.0.0.1")));
  EXPECT_EQ(WebHealth().state, HealthState::kHealthy) << "it keeps its state";
  dataplane_.no_probes = "cannot open /dev/net/tun";
  dataplane_.probes_open = false;
  Update();
  ASSERT_TRUE(Probes({"10.0.0.1"}));
  EXPECT_EQ(WhyDirect(), "cannot open /dev/net/tun");
}

TEST_F(CheckPathTest, IsDirectIfNoPortHasAnAddressOfAFrontendsFamily) {
  Add(kTwoFamilies);
  Connect({"10.0.0.2"});
  ASSERT_TRUE(Probes({"10.0.0.1"}));
  EXPECT_EQ(WhyDirect(),
            "no port of the dataplane has an IPv6 address; set `addresses` of a port in "
            "dataplane.yaml");
  dataplane_.own_addresses.push_back(Address("2001:db8:a::2"));
  Update();
  EXPECT_EQ(WhyDirect(),
            "this host's kernel has none of the ports' IPv6 addresses; add one to the port's "
            "interface");
}

TEST_F(CheckPathTest, StaysDirectIfAskedForThatOrWithNat) {
  Connect({"10.0.0.2"});
  Add(R"({"name": "web", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"],
          "health_check": {"via": "direct", "interval": "100ms", "timeout": "50ms"}})");
  Add(R"({"name": "nat", "frontends": ["203.0.113.2:80/tcp"], "backends": ["10.0.0.2"],
          "forwarding": "nat", "health_check": {"interval": "100ms", "timeout": "50ms"}})");
  ASSERT_TRUE(Probes({"10.0.0.1", "10.0.0.2"}));
  EXPECT_THAT(probed_, ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_EQ(WhyDirect(), "");
}

TEST_F(CheckPathTest, WaitsUntilTheDataplaneHasTheBackend) {
  Connect({"10.0.0.2", "2001:db8:a::2"});
  Add(kTwoFamilies);
  ASSERT_TRUE(RunUntil([&] { return StatusOf("web", "10.0.0.1").probe.not_made != nullptr; }));
  EXPECT_EQ(*StatusOf("web", "10.0.0.1").probe.not_made,
            "the dataplane does not have the last change in force");
  EXPECT_THAT(probed_, IsEmpty());
  PutInForce();
  ASSERT_TRUE(Probes({"203.0.113.1", "2001:db8::1"}));
}

TEST_F(CheckPathTest, ThatWasAskedForWaitsForADataplane) {
  Add(R"({"name": "web", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"],
          "health_check": {"via": "dataplane", "interval": "100ms", "timeout": "50ms"}})");
  ASSERT_TRUE(RunUntil([&] { return StatusOf("web", "10.0.0.1").probe.not_made != nullptr; }));
  EXPECT_EQ(*StatusOf("web", "10.0.0.1").probe.not_made, "no dataplane has been connected yet");
  Connect({"10.0.0.2"});
  ASSERT_TRUE(Probes({"203.0.113.1"}));
  EXPECT_THAT(probed_, ElementsAre("203.0.113.1"));
}

TEST_F(CheckPathTest, ThatWasAskedForIsRefusedWithoutAnAddressOfTheFamily) {
  Connect({"2001:db8:a::2"});
  const auto applied = Apply(AddService(ParseServiceSpec(
      R"({"name": "web", "frontends": ["203.0.113.1:80/tcp"], "backends": ["10.0.0.1"],
          "health_check": {"via": "dataplane"}})")));
  EXPECT_THAT(applied.status().message(),
              HasSubstr("health_check.via: dataplane needs an IPv4 address of a port of the "
                        "dataplane, as the probes' source; set `addresses` of a port in "
                        "dataplane.yaml, or use direct"));
}

TEST_F(CheckPathTest, SaysThatABackendAnswersOnlyDirectly) {
  failing_ = {"203.0.113.1"};
  Connect({"10.0.0.2", "2001:db8:a::2"});
  Add(kTwoFamilies);
  PutInForce();
  ASSERT_TRUE(RunUntil([&] { return WebHealth().verdict.passes_directly; }));
  EXPECT_EQ(WebHealth().state, HealthState::kUnhealthy);
  EXPECT_EQ(
      Reason(),
      "3 tcp checks of 203.0.113.1:80 through the dataplane failed in a row: no answer within "
      "50ms; answers on 10.0.0.1, not for 203.0.113.1: is the address on its lo?");
  // It survives a restart.
  WriteStatus();
  const CheckResult verdict = WebHealth().verdict;
  Open();
  EXPECT_EQ(WebHealth().verdict, verdict);
}

TEST_F(CheckPathTest, DoesNotSayThatOfABackendThatAnswersNowhere) {
  failing_ = {"203.0.113.1", "2001:db8::1", "10.0.0.1"};
  Connect({"10.0.0.2", "2001:db8:a::2"});
  Add(kTwoFamilies);
  PutInForce();
  ASSERT_TRUE(Probes({"10.0.0.1"}));
  ASSERT_TRUE(Probes({"203.0.113.1", "2001:db8::1"}));
  EXPECT_EQ(WebHealth().state, HealthState::kUnhealthy);
  EXPECT_FALSE(WebHealth().verdict.passes_directly);
}

TEST_F(CheckPathTest, KeepsVerdictsWhileTheDataplaneIsAway) {
  Connect({"10.0.0.2", "2001:db8:a::2"});
  Add(kTwoFamilies);
  PutInForce();
  ASSERT_TRUE(RunUntil([&] { return WebHealth().state == HealthState::kHealthy; }));
  failing_ = {"203.0.113.1", "2001:db8::1", "10.0.0.1"};
  dataplane_.connected = false;
  dataplane_.probes_open = false;
  Update();
  ASSERT_TRUE(RunUntil([&] { return StatusOf("web", "10.0.0.1").probe.not_made != nullptr; }));
  probed_.clear();
  const SteadyTime later = SteadyNow() + std::chrono::milliseconds(500);
  ASSERT_TRUE(RunUntil([&] { return SteadyNow() >= later; }));
  EXPECT_THAT(probed_, IsEmpty());
  EXPECT_EQ(WebHealth().state, HealthState::kHealthy);
}

TEST_F(CheckPathTest, UsesEveryPortBeforeItUsesOneAgain) {
  std::set<uint16_t> ports;
  for (size_t i = 0; i < kProbePorts; ++i) ports.insert(path_->Take(1)->port());
  EXPECT_EQ(ports.size(), kProbePorts);
  std::vector<ProbePath::Lease> held;
  for (size_t i = 0; i < kProbePorts; ++i) held.push_back(*path_->Take(1));
  EXPECT_FALSE(path_->Take(1).has_value());
  held.pop_back();
  EXPECT_TRUE(path_->Take(1).has_value());
}

TEST_F(CheckPathTest, PrefersTheSourceAddressNearestToTheBackend) {
  Connect({"192.0.2.1", "10.1.0.1", "10.0.0.2", "2001:db8:a::2"});
  EXPECT_EQ(path_->SourceFor(Family::kIpv4, Address("10.0.0.99")), Address("10.0.0.2"));
  EXPECT_EQ(path_->SourceFor(Family::kIpv4, Address("10.1.2.3")), Address("10.1.0.1"));
  EXPECT_EQ(path_->SourceFor(Family::kIpv4, Address("2001:db8::99")), Address("192.0.2.1"));
  EXPECT_EQ(path_->SourceFor(Family::kIpv6, Address("10.0.0.99")), Address("2001:db8:a::2"));
  host_.erase(Address("10.0.0.2"));
  EXPECT_NE(path_->SourceFor(Family::kIpv4, Address("10.0.0.99")), Address("10.0.0.2"));
}

}  // namespace
}  // namespace fairlead
