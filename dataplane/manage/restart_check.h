// fairlead-dataplane --check: what a start with these options would take over from the process that
// runs now, and what would be lost. Only reads the files of that process. No DPDK.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/config/options.h"
#include "dataplane/manage/state_files.h"
#include "lib/base/result.h"

namespace fairlead {

// Exit status of --check if nothing is lost; kCheckLoses if something is; EX_CONFIG (78) if the
// start would fail.
inline constexpr int kCheckTakesOver = 0;
inline constexpr int kCheckLoses = 1;

struct RestartCheck {
  enum class Outcome : uint8_t {
    kTakenOver,
    kNothing,  // an earlier process has left nothing of this kind
    kLost,     // some or all of it
  };
  struct Part {
    std::string name;  // "flow_records"
    Outcome outcome;
    std::string text;    // one clause: what it is and, if it is lost, why and what to do
    uint64_t count = 0;  // services in the snapshot, flow records, services with slot states
  };
  std::vector<Part> parts;  // configuration, snapshot, flow_records, slot_states

  bool LosesState() const;
};

// `state_files`: where an earlier process keeps its state; unset: nowhere (--no-link). Fails if the
// image that --snapshot names cannot be used, because a start fails then.
Result<RestartCheck> CheckRestart(const Options& options,
                                  const std::optional<StateFiles>& state_files);

// One line for each part.
std::string CheckText(const RestartCheck& check);
// {"release": ..., "complete": true, "parts": [{"name", "outcome", "text", "count"}]}. `outcome` is
// "taken_over", "nothing" or "lost".
std::string CheckJson(const RestartCheck& check);
// {"release": ..., "error": ...}
std::string CheckErrorJson(const Status& error);

}  // namespace fairlead
