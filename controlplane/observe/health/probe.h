// A probe: one attempt to find out whether a backend works. The check's type defines how it is
// made.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "controlplane/core/status_board.h"
#include "lib/intent/checks/check_type.h"
#include "lib/net/address.h"

namespace fairlead {

// The source of a probe through the dataplane: its packets have the mark, which the kernel's policy
// rule sends to the dataplane, and the port, which tells the dataplane for which backend they are.
struct ProbeSource {
  IpAddress address;
  uint16_t port = 0;
  uint32_t mark = 0;
};

struct ProbeTarget {
  IpAddress address;
  uint16_t port = 0;  // 0: the type needs none
  std::chrono::milliseconds timeout{0};
  CheckSettings settings = {};             // the type's own
  std::optional<ProbeSource> source = {};  // unset: the kernel chooses it, and routes the probe
  // The backend's own address, which tells the servers behind a frontend apart.
  IpAddress backend = {};
};

struct ProbeAnswer {
  CheckOutcome outcome = CheckOutcome::kFailed;
  int32_t detail = 0;  // CheckResult::detail
  // Why the probe was not made: this host has no route, file descriptor, port or memory for it. A
  // skipped probe says nothing about the backend. Empty: the probe was made.
  std::string skipped = {};
  // When the backend's certificate ends, in seconds since 1970. Unset: the probe saw none.
  std::optional<int64_t> certificate_not_after_s = {};
};

// Returns within the target's timeout.
using Prober = std::function<boost::asio::awaitable<ProbeAnswer>(ProbeTarget target)>;

}  // namespace fairlead
