// `http`: passes if the answer to a request has a status in `codes`, and its body holds `match`.
// The details of failed probes are in check_failure.h.
#include "lib/intent/checks/check_ports.h"
#include "lib/intent/checks/check_type.h"
#include "lib/intent/checks/http_settings.h"

namespace fairlead {
namespace {

constexpr CheckField kHttpFields[] = {kHttpPathField, kHttpCodesField, kHttpMatchField,
                                      kHttpMethodField, kHttpHostField};

std::string HttpText(const FailedCheck& failed) { return HttpFailureText(failed, ""); }

}  // namespace

constinit const CheckType kHttpCheck = {.name = "http",
                                        .number = 2,
                                        .fields = kHttpFields,
                                        .validate = ValidateHttpCheck,
                                        .validate_new = ValidateNewCheckPort,
                                        .ports = CheckPorts,
                                        .failure_text = HttpText,
                                        .is_refused = IsRefusedConnection};

}  // namespace fairlead
