#include "lib/intent/checks/check_ports.h"

#include <algorithm>
#include <set>
#include <string>

namespace fairlead {
namespace {

Protocol CheckedProtocol(const ServiceSpec& service) { return service.health_check.type->protocol; }

const Frontend* FirstFrontendOf(const ServiceSpec& service, Protocol protocol) {
  const auto found = std::ranges::find(service.frontends, protocol, &Frontend::protocol);
  return found == service.frontends.end() ? nullptr : &*found;
}

}  // namespace

std::vector<uint16_t> CheckPorts(const ServiceSpec& service, const BackendSpec& backend) {
  const HealthCheck& check = service.health_check;
  if (check.port != 0) return {check.port};
  if (check.frontend) return {check.frontend->port};
  if (backend.endpoint.port != 0) return {backend.endpoint.port};
  std::set<uint16_t> ports;
  uint16_t of_other_protocol = 0;
  for (const Frontend& frontend : service.frontends) {
    if (frontend.is_any_port()) continue;
    if (frontend.protocol == CheckedProtocol(service)) {
      if (!service.health_check.all_ports) return {frontend.port};
      ports.insert(frontend.port);
    } else if (of_other_protocol == 0) {
      of_other_protocol = frontend.port;
    }
  }
  // Only a stored service has no frontend of the protocol (ValidateNewCheckPort).
  if (!service.health_check.all_ports && of_other_protocol != 0) return {of_other_protocol};
  return {ports.begin(), ports.end()};
}

Status ValidateCheckPort(const ServiceSpec& service, std::string_view path) {
  const HealthCheck& check = service.health_check;
  if (check.port != 0 || check.frontend || service.frontends.front().port != 0) return {};
  const Frontend* frontend = FirstFrontendOf(service, CheckedProtocol(service));
  if (frontend == nullptr) frontend = &service.frontends.front();
  if (frontend->port != 0) return {};
  return InvalidArgument(std::string(path) + "health_check.port: missing: the first frontend, " +
                         frontend->ToString() + ", is for any port; set the port to check");
}

Status ValidateNewCheckPort(const ServiceSpec& service, std::string_view path) {
  const Protocol protocol = CheckedProtocol(service);
  if (service.health_check.port != 0 || FirstFrontendOf(service, protocol) != nullptr) return {};
  const bool is_tcp = protocol == Protocol::kTcp;
  const std::string name = is_tcp ? "TCP" : "UDP";
  return InvalidArgument(std::string(path) + "health_check.port: missing: a " + name +
                         " check of a service with " + (is_tcp ? "UDP" : "TCP") +
                         " frontends only needs the port of a " + name + " server on the backends");
}

}  // namespace fairlead
