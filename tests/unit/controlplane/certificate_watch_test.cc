// The end of certificates: on the status board, and in the log.
#include "controlplane/observe/health/certificate_watch.h"

#include <gmock/gmock.h>

#include "controlplane/observe/health/checks.h"
#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kDayS = 24 * 3600;

class CertificateWatchTest : public CoreTest {
 protected:
  void Open() override {
    CoreTest::Open();
    ASSERT_TRUE(Apply(AddService(ParseServiceSpec(kWeb))).ok());
    watch_ = std::make_unique<CertificateWatch>(board_.get());
  }
  void Close() override {
    watch_.reset();
    CoreTest::Close();
  }
  // What is logged when the certificate of a backend ends after this time.
  std::string Logged(int64_t left_s, const std::string& address = "10.0.0.1") {
    EXPECT_TRUE(ConfigureLog("text", "info").ok());
    testing::internal::CaptureStderr();
    watch_->Learn(Backend("web", address)->id, clock_.WallMs() / 1000 + left_s);
    std::string text = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(ConfigureLog("text", "off").ok());
    return text;
  }

  std::unique_ptr<CertificateWatch> watch_;
};

TEST_F(CertificateWatchTest, LogsOnce14DaysBeforeTheEnd) {
  const int64_t now_s = clock_.WallMs() / 1000;
  EXPECT_THAT(Logged(14 * kDayS + 1), IsEmpty());
  EXPECT_EQ(StatusOf("web", "10.0.0.1").certificate_not_after_s, now_s + 14 * kDayS + 1);
  clock_.Advance(std::chrono::hours(1));
  const std::string text = Logged(14 * kDayS + 1 - 3600);
  EXPECT_THAT(text, HasSubstr("certificate_expires_soon service=web backend=10.0.0.1"));
  EXPECT_THAT(text, HasSubstr("days_left=13"));
  EXPECT_THAT(Logged(14 * kDayS + 1 - 3600), IsEmpty());
  clock_.Advance(std::chrono::hours(1));
  EXPECT_THAT(Logged(14 * kDayS + 1 - 7200), IsEmpty());
}

TEST_F(CertificateWatchTest, LogsForEachBackendAndCertificate) {
  EXPECT_THAT(Logged(kDayS), HasSubstr("days_left=1"));
  EXPECT_THAT(Logged(kDayS, "10.0.0.2"), HasSubstr("backend=10.0.0.2"));
  EXPECT_THAT(Logged(90 * kDayS), IsEmpty()) << "it was renewed";
  EXPECT_THAT(Logged(2 * kDayS), HasSubstr("days_left=2"));
  EXPECT_THAT(Logged(-kDayS), HasSubstr("days_left=0"));
}

TEST_F(CertificateWatchTest, ABackendWithoutACertificateHasNone) {
  EXPECT_THAT(Logged(kDayS), HasSubstr("certificate_expires_soon"));
  watch_->Learn(Backend("web", "10.0.0.1")->id, std::nullopt);
  EXPECT_EQ(StatusOf("web", "10.0.0.1").certificate_not_after_s, std::nullopt);
  watch_->Learn(4711, 1);  // a backend that is gone
}

// With HealthChecks.
TEST_F(CertificateWatchTest, TheFirstEndOfSeveralChecksCountsUntilTheCheckHasAnotherType) {
  const int64_t now_s = clock_.WallMs() / 1000;
  const Prober prober = [&](ProbeTarget target) -> boost::asio::awaitable<ProbeAnswer> {
    co_return ProbeAnswer{.outcome = CheckOutcome::kPassed,
                          .certificate_not_after_s = now_s + target.port * kDayS};
  };
  HealthChecks checks(context_->get_executor(), board_.get(),
                      Probers{{&kHttpsCheck, prober}, {&kTcpCheck, prober}},
                      [](const IpAddress&) { return ""; });
  ASSERT_TRUE(Apply(AddService(ParseServiceSpec(
                        R"({"name": "tls", "frontends": ["203.0.113.11:443/tcp",
        "203.0.113.11:50/tcp"], "backends": ["10.0.0.9"],
        "health_check": {"type": "https", "ports": "all", "interval": "100ms", "timeout": "90ms"}})")))
                  .ok());
  checks.Reconcile(View());
  const auto end = [&] { return StatusOf("tls", "10.0.0.9").certificate_not_after_s; };
  EXPECT_TRUE(RunUntil([&] { return end() == now_s + 50 * kDayS; }));
  const auto to_none = [](const ServiceSpec& present) -> Result<ServiceSpec> {
    ServiceSpec changed = present;
    changed.health_check = HealthCheck{.type = &kNoneCheck};
    return changed;
  };
  ASSERT_TRUE(Apply(EditService("tls", to_none)).ok());
  checks.Reconcile(View());
  EXPECT_EQ(end(), std::nullopt);
}

}  // namespace
}  // namespace fairlead
