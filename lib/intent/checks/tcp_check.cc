// `tcp`: passes if a connection to the port can be opened. A failed probe's detail is an errno.
#include <cerrno>
#include <cstring>

#include "lib/intent/checks/check_ports.h"
#include "lib/intent/checks/check_type.h"

namespace fairlead {
namespace {

// A stored service may break this rule, which is newer than the store.
Status JudgeNew(const ServiceSpec& service, std::string_view path) {
  if (service.health_check.port != 0 || !IsUdpOnly(service)) return {};
  return InvalidArgument(std::string(path) +
                         "health_check.port: missing: a TCP check of a service with UDP frontends "
                         "only needs the port of a TCP server on the backends");
}

std::string FailureText(int32_t detail) { return std::strerror(detail); }

bool IsRefused(int32_t detail) { return detail == ECONNREFUSED; }

}  // namespace

constinit const CheckType kTcpCheck = {.name = "tcp",
                                       .number = 0,
                                       .validate = ValidateCheckPort,
                                       .validate_new = JudgeNew,
                                       .ports = CheckPorts,
                                       .failure_text = FailureText,
                                       .is_refused = IsRefused};

}  // namespace fairlead
