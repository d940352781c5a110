// CA files of health checks: which a change may name, and what happens when one is gone.
#include "controlplane/common/ca_file.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/unit/controlplane/certificates.h"
#include "tests/unit/controlplane/core_fixture.h"

namespace fairlead {
namespace {

using testing::HasSubstr;

class CaFileTest : public CoreTest {
 protected:
  void Put(const std::string& text) { std::ofstream(ca_file_, std::ios::trunc) << text; }
  std::string Load() { return LoadCaFile(ca_file_).status().message(); }
  std::string ServiceWithCaFile() const {
    return R"({"name": "web", "frontends": ["203.0.113.10:443/tcp"], "backends": ["10.0.0.1"],
               "health_check": {"type": "https", "tls": {"ca_file": ")" +
           ca_file_ + R"("}}})";
  }
  static SettingsEdit DrainTimeout(uint32_t timeout_ms) {
    return [timeout_ms](const ServiceSpec& present) -> Result<ServiceSpec> {
      ServiceSpec changed = present;
      changed.drain_timeout_ms = timeout_ms;
      return changed;
    };
  }

  std::string ca_file_ = directory_.File("ca.pem");
  std::string pem_ = IssueCertificate({.common_name = "CA", .is_ca = true}, nullptr).Pem();
};

TEST_F(CaFileTest, HoldsOneOrMoreCertificates) {
  Put(pem_);
  EXPECT_EQ(Load(), "");
  Put("# a comment\n" + pem_ + "text between\n" +
      IssueCertificate({.common_name = "Other", .is_ca = true}, nullptr).Pem());
  EXPECT_EQ(Load(), "");
}

TEST_F(CaFileTest, IsRefusedIfItCannotBeUsed) {
  EXPECT_EQ(Load(), ca_file_ +
                        " cannot be read: No such file or directory; name a file that "
                        "fairleadd's user can read");
  Put("");
  EXPECT_THAT(Load(), HasSubstr("has no certificate in PEM form (BEGIN CERTIFICATE)"));
  Put("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
  EXPECT_NE(Load(), "");
  Put(pem_ + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  EXPECT_THAT(Load(), HasSubstr("has a damaged certificate after 1 good ones ("));
  Put(std::string(1024 * 1024 + 1, 'x'));
  EXPECT_THAT(Load(), HasSubstr("is larger than 1 MiB"));
  ca_file_ = directory_.File("fifo");
  ASSERT_EQ(::mkfifo(ca_file_.c_str(), 0600), 0);
  EXPECT_THAT(Load(), HasSubstr("is not a file")) << "it must not wait for a writer";
  ca_file_ = directory_.File("");
  EXPECT_THAT(Load(), HasSubstr("is not a file"));
}

TEST_F(CaFileTest, AChangeThatNamesAnUnreadableOneIsRefused) {
  const ServiceSpec spec = ParseServiceSpec(ServiceWithCaFile());
  const Result<Committed> refused = Apply(AddService(spec));
  EXPECT_EQ(refused.status().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(),
              HasSubstr("health_check.tls.ca_file: " + ca_file_ + " cannot be read: No such file"));
  EXPECT_EQ(View()->Find("web"), nullptr);
  IntentSpec intent;
  intent.services = {spec};
  EXPECT_THAT(Apply(ImportIntent(intent)).status().message(),
              HasSubstr("services[0].health_check.tls.ca_file: " + ca_file_));
  Put(pem_);
  EXPECT_TRUE(Apply(AddService(spec)).ok());
}

TEST_F(CaFileTest, AStoredServiceStaysWhenItsFileIsGone) {
  Put(pem_);
  ASSERT_TRUE(Apply(AddService(ParseServiceSpec(ServiceWithCaFile()))).ok());
  std::filesystem::remove(ca_file_);
  Open();
  ASSERT_NE(View()->Find("web"), nullptr);
  // Other settings can be changed, the check cannot.
  EXPECT_TRUE(Apply(EditService("web", DrainTimeout(7000))).ok());
  const auto other_check = [](const ServiceSpec& present) -> Result<ServiceSpec> {
    ServiceSpec changed = present;
    changed.health_check.fall = 9;
    return changed;
  };
  EXPECT_THAT(Apply(EditService("web", other_check)).status().message(),
              HasSubstr("cannot be read"));
}

}  // namespace
}  // namespace fairlead
