// `tcp`: passes if a connection to the port can be opened. A failed probe's detail is an errno.
#include <cerrno>
#include <cstring>

#include "lib/intent/checks/check_ports.h"
#include "lib/intent/checks/check_type.h"

namespace fairlead {
namespace {

std::string TcpText(const FailedCheck& failed) { return std::strerror(failed.detail); }

bool IsRefused(int32_t detail) { return detail == ECONNREFUSED; }

}  // namespace

constinit const CheckType kTcpCheck = {.name = "tcp",
                                       .number = 0,
                                       .validate = ValidateCheckPort,
                                       .validate_new = ValidateNewCheckPort,
                                       .ports = CheckPorts,
                                       .failure_text = TcpText,
                                       .is_refused = IsRefused};

}  // namespace fairlead
