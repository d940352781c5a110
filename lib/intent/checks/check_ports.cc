#include "lib/intent/checks/check_ports.h"

#include <set>
#include <string>

namespace fairlead {

std::vector<uint16_t> CheckPorts(const ServiceSpec& service, const BackendSpec& backend) {
  const HealthCheck& check = service.health_check;
  if (check.port != 0) return {check.port};
  if (check.frontend) return {check.frontend->port};
  if (backend.endpoint.port != 0) return {backend.endpoint.port};
  std::set<uint16_t> ports;
  for (const Frontend& frontend : service.frontends) {
    if (frontend.is_any_port()) continue;
    if (!service.health_check.all_ports) return {frontend.port};
    // A TCP check cannot check a UDP port.
    if (frontend.protocol == Protocol::kTcp) ports.insert(frontend.port);
  }
  return {ports.begin(), ports.end()};
}

Status ValidateCheckPort(const ServiceSpec& service, std::string_view path) {
  const HealthCheck& check = service.health_check;
  if (check.port != 0 || check.frontend || service.frontends.front().port != 0) return {};
  return InvalidArgument(std::string(path) + "health_check.port: missing: the first frontend, " +
                         service.frontends.front().ToString() +
                         ", is for any port; set the port to check");
}

}  // namespace fairlead
