// Attaches, replaces and detaches the agent's programs at an interface's hooks. A program is the
// agent's if it has the agent's name. BPF pins can be lost (in a private mount namespace), names
// stay.
#pragma once

#include <cstdint>
#include <string>

#include "lib/base/result.h"

namespace fairlead::agent {

inline constexpr const char* kXdpProgram = "fairlead_xdp";
inline constexpr const char* kTcProgram = "fairlead_tc";
inline constexpr const char* kClampProgram = "fairlead_clamp";

enum class Direction : uint8_t { kIngress, kEgress };

struct Attached {
  uint32_t program_id = 0;  // 0 = nothing there
  std::string name;
  std::string mode;  // "native", "generic", "offload" (XDP); "tc"
};

class Hook {
 public:
  // REQUIRES an index of an existing interface; `interface` is for messages.
  Hook(int index, std::string interface) : index_(index), interface_(std::move(interface)) {}

  int index() const { return index_; }
  const std::string& interface() const { return interface_; }

  Result<Attached> QueryXdp() const;
  // Attaches in native mode, or in generic mode if the driver cannot. Replaces the agent's own
  // program in one step and keeps its mode. Fails if another program is there. Returns the mode.
  Result<std::string> AttachXdp(int program_fd) const;
  Status DetachXdp() const;  // no error if the agent's program is not there

  // TC: a direct-action filter of fixed handle and priority at clsact.
  Result<Attached> QueryTc(Direction direction) const;
  Result<bool> MakeQdisc() const;  // true: made now, false: it existed
  Status AttachTc(Direction direction, const char* own_name, int program_fd) const;
  Status DetachTc(Direction direction, const char* own_name) const;
  // Removes clsact, with both directions, unless a filter is left in it.
  Status RemoveQdiscIfUnused() const;

 private:
  int index_;
  std::string interface_;
};

// What the kernel and libbpf said about the failures since the last call, for error messages. Call
// InstallKernelMessages() once, before any other function here.
void InstallKernelMessages();
std::string TakeKernelMessages();

Result<Attached> DescribeProgram(uint32_t program_id);

}  // namespace fairlead::agent
