#include "dataplane/config/device_claims.h"

#include <thread>
#include <utility>

namespace fairlead {

void AwaitDevices(const std::vector<PortConfig>& ports, std::chrono::milliseconds longest,
                  const std::function<void(const std::string& device)>& waiting) {
  constexpr std::chrono::milliseconds kPeriod{50};
  const auto limit = std::chrono::steady_clock::now() + longest;
  for (const PortConfig& port : ports) {
    const DeviceKind& kind = *port.device.kind;
    if (kind.is_present == nullptr || kind.is_present(port.device)) continue;
    waiting(port.device.text + " of port " + port.name);
    while (!kind.is_present(port.device)) {
      if (std::chrono::steady_clock::now() >= limit) return;
      std::this_thread::sleep_for(kPeriod);
    }
  }
}

Result<std::vector<PortClaim>> ClaimDevices(const std::vector<PortConfig>& ports) {
  std::vector<PortClaim> claims;
  for (const PortConfig& port : ports) {
    const DeviceKind& kind = *port.device.kind;
    if (kind.check != nullptr) {
      const Status checked = kind.check(port.device);
      if (!checked.ok())
        return Status(checked.code(), "port " + port.name + ": " + checked.message());
    }
    // Other kinds may be shared: two processes are the ends of a memif.
    if (!kind.is_interface && !kind.is_pci) continue;
    Result<PortClaim> claim = PortClaim::Take(port.device.claim());
    if (!claim.ok()) {
      return FailedPrecondition("port " + port.name + ": " + port.device.text + " is " +
                                claim.status().message());
    }
    claims.push_back(*std::move(claim));
  }
  return claims;
}

}  // namespace fairlead
