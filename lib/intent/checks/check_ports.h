// Which ports a check connects to: what types that probe a TCP port have in common.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "lib/intent/model.h"

namespace fairlead {

// The ports that `service` checks `backend` on: the check's, else the backend's, else the first
// frontend's that names one; with `ports: all` those of all TCP frontends. Of a range its first port
// is checked. Ascending; empty: there is none.
std::vector<uint16_t> CheckPorts(const ServiceSpec& service, const BackendSpec& backend);

// The check must have a port where the first frontend names none. As CheckType::judge.
Status JudgeCheckPort(const ServiceSpec& service, std::string_view path);

}  // namespace fairlead
