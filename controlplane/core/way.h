// How packets leave for an endpoint, and whether they can.
#pragma once

#include <cstdint>
#include <string>

#include "lib/net/address.h"

namespace fairlead {

// Endpoints with equal keys are reached the same way.
struct WayKey {
  int interface_index = 0;  // 0: there is no route
  IpAddress gateway = {};   // IpAddress(): the endpoint is on-link
  friend auto operator<=>(const WayKey&, const WayKey&) = default;
};

enum class WayLoss : uint8_t {
  kNone = 0,  // the way is there
  kNoRoute,
  kNoCarrier,  // of the interface
  kSilent,     // the gateway, or everybody on the link
};

struct WayState {
  WayKey way;
  WayLoss loss = WayLoss::kNone;
  std::string interface = {};  // its name
  friend bool operator==(const WayState&, const WayState&) = default;
};

}  // namespace fairlead
