// The operations of fairlead-agent, without its command line. Attach and Detach hold the lock on
// the BPF pins. If Attach cannot load or attach a program, the previous programs stay in force.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/encap/tunnel.h"
#include "tools/agent/agent_shared.h"
#include "tools/agent/bpf_pins.h"
#include "tools/agent/prefix.h"

namespace fairlead::agent {

struct AttachOptions {
  std::vector<SourcePrefix> balancers;  // at least one
  agent_hook hook = AGENT_HOOK_XDP;
  uint16_t gue_port = kDefaultGuePort;
  uint16_t clamp_mss = 0;
  bool strict = false;
  std::vector<SourcePrefix> peers;  // other backends; empty = no second chance. Hook tc only
};

struct AttachOutcome {
  std::string mode;  // "native", "generic", "tc"
  bool replaced = false;
  std::vector<std::string> notes;  // what the operator may want to change on this host
};

struct InterfaceStatus {
  std::string interface;
  // Why the status cannot be read. The other fields do not count then. Empty = no problem.
  std::string problem;
  bool attached = false;  // the program of the BPF pin is the one at the hook
  bool clamped = false;   // SYN-ACKs are clamped, or need not be
  std::string mode;
  uint32_t program_id = 0;
  agent_settings settings{};
  std::vector<SourcePrefix> balancers;
  std::vector<SourcePrefix> peers;
  std::array<uint64_t, AGENT_COUNTERS> counters{};
};

// Fails with what is missing: root, or a kernel that loads BPF programs.
Status CheckHost();

// Loads the programs, makes their BPF pins and attaches them. Replaces the agent's older program on
// `interface` in one step: no packet arrives between the two. Counters start at zero.
Result<AttachOutcome> Attach(const BpfPins& pins, const std::string& interface,
                             const AttachOptions& options);

// Detaches and removes all that the agent made, even if the BPF pins or the interface are gone.
// False if there was nothing.
Result<bool> Detach(const BpfPins& pins, const std::string& interface);

InterfaceStatus StatusOf(const BpfPins& pins, const std::string& interface);

}  // namespace fairlead::agent
