// `https`: as `http`, over TLS. The details of failed probes are in check_failure.h.
#include "lib/intent/checks/check_ports.h"
#include "lib/intent/checks/check_type.h"
#include "lib/intent/checks/http_settings.h"
#include "lib/intent/checks/tls_settings.h"

namespace fairlead {
namespace {

constexpr CheckField kHttpsFields[] = {
    kHttpPathField,
    kHttpCodesField,
    kHttpMatchField,
    kHttpMethodField,
    kHttpHostField,
    {.name = "tls.verify",
     .help = kTlsVerifyHelp,
     .default_text = "full",
     .words = kTlsVerifyWords},
    {.name = "tls.sni", .help = kTlsSniHelp, .refusal = RefuseTlsSni},
    {.name = "tls.ca_file",
     .help = kTlsCaFileHelp,
     .refusal = RefuseTlsCaFile,
     .is_ca_file = true}};

std::string HttpsText(const FailedCheck& failed) {
  const HttpSettings http = ReadHttpSettings(kHttpsCheck, failed.settings, failed.address, 443);
  const TlsSettings tls = ReadTlsSettings(kHttpsCheck, failed.settings, HostName(http.host));
  return HttpFailureText(failed, tls.name);
}

}  // namespace

constinit const CheckType kHttpsCheck = {.name = "https",
                                         .number = 3,
                                         .fields = kHttpsFields,
                                         .validate = ValidateHttpCheck,
                                         .validate_new = ValidateNewCheckPort,
                                         .ports = CheckPorts,
                                         .failure_text = HttpsText,
                                         .is_refused = IsRefusedConnection};

}  // namespace fairlead
