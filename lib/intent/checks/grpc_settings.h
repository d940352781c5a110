// The settings of the check type `grpc`.
#pragma once

#include <optional>
#include <string>

#include "lib/intent/checks/check_type.h"
#include "lib/intent/checks/tls_settings.h"

namespace fairlead {

struct GrpcSettings {
  std::string service;             // empty: the server as a whole
  std::string authority;           // the server's name, else its address and port
  std::optional<TlsSettings> tls;  // nullopt: h2c
};

// REQUIRES valid settings.
GrpcSettings ReadGrpcSettings(const CheckSettings& settings, const IpAddress& address,
                              uint16_t port);

}  // namespace fairlead
