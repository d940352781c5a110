// What fairlead-agent does, without its command line. Each function is one whole operation: it
// takes the lock on the pins, and leaves what was there in force when it fails.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/encap/tunnel.h"
#include "tools/agent/agent_shared.h"
#include "tools/agent/pins.h"
#include "tools/agent/prefix.h"

namespace fairlead::agent {

struct AttachOptions {
  std::vector<Prefix> balancers;  // at least one
  agent_hook hook = AGENT_HOOK_XDP;
  uint16_t gue_port = kDefaultGuePort;
  uint16_t clamp_mss = 0;
  bool strict = false;
  std::vector<Prefix> peers;  // other backends; none: no second chance. Hook tc only
};

struct AttachOutcome {
  std::string mode;  // "native", "generic", "tc"
  bool replaced = false;
  std::vector<std::string> notes;  // what the operator may want to change on this host
};

struct InterfaceStatus {
  std::string interface;
  // Set when what is pinned cannot be read; the rest is then empty.
  std::string problem;
  bool attached = false;  // the pinned program is the one at the hook
  bool clamped = false;   // SYN-ACKs are clamped, or need not be
  std::string mode;
  uint32_t program_id = 0;
  agent_settings settings{};
  std::vector<Prefix> balancers;
  std::vector<Prefix> peers;
  std::array<uint64_t, AGENT_COUNTERS> counters{};
};

// Root, a kernel with BPF: refused with what is missing.
Status CheckHost();

// Loads, pins and attaches; an older one on `interface` is replaced without a packet between the
// two, with counters from zero.
Result<AttachOutcome> Attach(const Pins& pins, const std::string& interface,
                             const AttachOptions& options);

// Detaches and removes everything of ours, also when pins or the interface are gone. False when
// there was nothing.
Result<bool> Detach(const Pins& pins, const std::string& interface);

InterfaceStatus StatusOf(const Pins& pins, const std::string& interface);

}  // namespace fairlead::agent
