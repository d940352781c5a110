// Sentences about the status, for people. They are made from numbers where the status is shown. No
// code decides by them.
#pragma once

#include <string>

#include "controlplane/core/status_board.h"
#include "lib/intent/model.h"

namespace fairlead {

// What was checked, as far as it is known. Some reasons name the host or a setting.
struct CheckedBackend {
  const ServiceSpec* service = nullptr;  // null: not known
  const IpAddress* address = nullptr;    // the backend's; null: not known
};

// "3 tcp checks of port 80 failed in a row: Connection refused".
std::string CheckResultText(const CheckResult& verdict, const CheckedBackend& checked = {});
// "is an address of this host (interface eth0), which handles its packets itself". The caller puts
// the frontend before it.
std::string LeftOutFrontendText(const LeftOutFrontend& frontend);
// "deadline passed; flows that remain are kept"; empty while the drain runs.
std::string DrainEndText(const DrainProgress& progress);

// "ejected for 30 s: 63 % of 41 sampled handshakes unanswered, median of the service 2 %". Without
// "ejected for 30 s: " if it is not ejected. REQUIRES is_outlier.
std::string OutlierText(const OutlierStatus& outlier);

// Why packets cannot leave by a kernel interface without a carrier: "port wan has no link" if
// `device` is the interface of a port whose link is down, else "wan0.20 has no carrier". `device`:
// the interface itself, or the parent of a VLAN interface.
std::string NoCarrierText(const std::string& interface, const std::string& device,
                          const DataplaneStatus& dataplane);

// "gateway 10.0.0.1 on eth0", "eth0".
std::string WayText(const WayState& state);
// Why a way is lost: "gateway 10.0.0.1 on eth0 does not answer", "nobody answers on eth0".
std::string LostWayText(const WayState& state);

}  // namespace fairlead
