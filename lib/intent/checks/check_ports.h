// The ports that a check connects to. Shared by the check types that probe a port.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "lib/intent/model.h"

namespace fairlead {

// The ports on which `service` checks `backend`: the check's port, else the backend's, else that of
// the first frontend of the check's protocol that is not for any port. With `ports: all`, instead
// of the last, those of all frontends of the check's protocol. A range counts as its first port.
// Ascending; empty: there is none.
std::vector<uint16_t> CheckPorts(const ServiceSpec& service, const BackendSpec& backend);

// Fails if the check has no port and the frontend that it would check is for any port. For
// CheckType::validate.
Status ValidateCheckPort(const ServiceSpec& service, std::string_view path);
// Fails if the check has no port and the service has no frontend of the check's protocol. For
// CheckType::validate_new: stored services may break this rule, which is newer than the store.
Status ValidateNewCheckPort(const ServiceSpec& service, std::string_view path);

}  // namespace fairlead
