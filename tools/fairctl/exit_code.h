// What fairctl's exit status means; `fairctl --help` lists them from here.
#pragma once

#include "lib/base/result.h"

namespace fairlead::fairctl {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,       // refused by fairleadd, or failed
  kExitUsage = 2,        // the command line is wrong
  kExitUnreachable = 3,  // no connection to fairleadd, or no answer
  kExitNotFound = 4,     // no such service or backend
  // drain --wait: the backend is not safe to stop; dataplane restart: the new one is not connected
  kExitWaitTimeout = 5,
};

inline constexpr const char* kExitCodeHelp =
    "Exit status: 0 done, 1 refused or failed, 2 wrong command line, 3 fairleadd not reachable,\n"
    "4 no such service or backend, 5 the wait ended too early: the backend is not safe to stop "
    "(drain\n"
    "--wait), or the restarted dataplane is not connected (dataplane restart).";

inline ExitCode ExitCodeOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOk:
      return kExitOk;
    case ErrorCode::kNotFound:
      return kExitNotFound;
    case ErrorCode::kUnavailable:
      return kExitUnreachable;
    default:
      return kExitFailed;
  }
}

}  // namespace fairlead::fairctl
