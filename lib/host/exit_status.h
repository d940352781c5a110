// The exit status of both daemons. systemd does not restart them after kExitConfiguration
// (RestartPreventExitStatus=78 in the units).
#pragma once

#include "lib/base/result.h"

namespace fairlead {

inline constexpr int kExitFailure = 1;  // another start may succeed
inline constexpr int kExitConfiguration =
    78;  // EX_CONFIG: each start would fail until it is changed

// The status for a start that failed with `status`. Only two codes stay wrong by themselves:
// kInvalidArgument (a configuration file, the command line, a store of a newer release or of another
// user) and kDataLoss (a damaged store). What comes later (an interface, hugepages, space, the end of
// another process) has another code.
inline int ExitStatusOf(const Status& status) {
  const bool stays =
      status.code() == ErrorCode::kInvalidArgument || status.code() == ErrorCode::kDataLoss;
  return stays ? kExitConfiguration : kExitFailure;
}

}  // namespace fairlead
