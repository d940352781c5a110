#include "lib/intent/checks/checked_frontends.h"

#include <algorithm>

#include "lib/mode/mode.h"

namespace fairlead {
namespace {

// The port on which a check tries this frontend; 0: none.
uint16_t PortOf(const HealthCheck& check, const Frontend& frontend) {
  if (check.port == 0) return frontend.port;
  return frontend.HasPort(check.port) ? check.port : 0;
}

std::string_view ProtocolWord(Protocol protocol) {
  return protocol == Protocol::kTcp ? "tcp" : "udp";
}

Status Refuse(std::string_view path, std::string_view field, std::string why) {
  return InvalidArgument(
      std::string(path).append("health_check.").append(field).append(": ").append(why));
}

}  // namespace

std::vector<CheckedFrontend> CheckedFrontends(const ServiceSpec& service) {
  const HealthCheck& check = service.health_check;
  std::vector<CheckedFrontend> checked;
  if (!check.type->probes) return checked;
  for (size_t i = 0; i < service.frontends.size(); ++i) {
    const Frontend& frontend = service.frontends[i];
    if (check.frontend ? frontend != *check.frontend : frontend.protocol != check.type->protocol) {
      continue;
    }
    const uint16_t port = PortOf(check, frontend);
    if (port != 0) checked.push_back({i, port});
    if (!checked.empty() && !check.all_ports) break;
  }
  return checked;
}

std::string WhyNotThroughDataplane(const ServiceSpec& service) {
  const ModeDescriptor& mode = ModeOf(service.forwarding);
  if (!mode.checks_through_dataplane) {
    return "forwarding " + std::string(mode.name) + " has direct checks only";
  }
  if (!service.health_check.type->probes || !CheckedFrontends(service).empty()) return "";
  const std::string protocol(ProtocolWord(service.health_check.type->protocol));
  if (service.health_check.port != 0) {
    return "no " + protocol + " frontend has port " + std::to_string(service.health_check.port);
  }
  return "no " + protocol + " frontend names a port";
}

bool ChecksThroughDataplane(const ServiceSpec& service) {
  return service.health_check.via != CheckVia::kDirect && WhyNotThroughDataplane(service).empty();
}

Status ValidateCheckPath(const ServiceSpec& service, std::string_view path) {
  const HealthCheck& check = service.health_check;
  if (check.frontend) {
    const std::string text = check.frontend->ToString();
    if (std::ranges::find(service.frontends, *check.frontend) == service.frontends.end()) {
      return Refuse(path, "frontend", text + " is not a frontend of this service");
    }
    if (check.type->probes && check.frontend->protocol != check.type->protocol) {
      return Refuse(path, "frontend",
                    text + " cannot be checked by a " + std::string(check.type->name) +
                        " check; name a " + std::string(ProtocolWord(check.type->protocol)) +
                        " frontend, or use another type");
    }
    if (check.all_ports) {
      return Refuse(path, "frontend",
                    text + " cannot be combined with ports: all; remove one of them");
    }
    if (check.port != 0 && !check.frontend->HasPort(check.port)) {
      return Refuse(path, "frontend",
                    text + " does not have port " + std::to_string(check.port) +
                        "; remove health_check.port, or name the frontend that has it");
    }
    if (check.port == 0 && check.frontend->is_any_port()) {
      return Refuse(path, "frontend", text + " is for any port; set health_check.port, too");
    }
  }
  if (check.via != CheckVia::kDataplane) return {};
  const std::string why = WhyNotThroughDataplane(service);
  if (why.empty()) return {};
  return Refuse(path, "via", "dataplane is not possible: " + why + "; use direct");
}

}  // namespace fairlead
