// The programs and maps of one interface's BPF pins: settings, balancers, counters.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/host/unique_fd.h"
#include "tools/agent/agent_shared.h"
#include "tools/agent/prefix.h"

namespace fairlead::agent {

class Installed {
 public:
  // kNotFound if there are no BPF pins. kFailedPrecondition if another version of the agent made
  // them, whose maps have other sizes.
  static Result<Installed> Open(const std::filesystem::path& folder, const std::string& interface);

  const agent_settings& settings() const { return settings_; }
  uint32_t ingress_program_id() const { return ingress_id_; }
  // 0 if SYN-ACKs are not clamped.
  uint32_t clamp_program_id() const { return clamp_id_; }
  // -1 if SYN-ACKs are not clamped.
  int clamp_fd() const { return clamp_.get(); }

  Result<bool> Add(const SourcePrefix& prefix) const;             // false: was there
  Result<bool> Remove(const SourcePrefix& prefix) const;          // false: was not there
  Result<std::vector<SourcePrefix>> Balancers() const;            // IPv4 first, each sorted
  Result<std::vector<SourcePrefix>> Peers() const;                // the same
  Result<std::array<uint64_t, AGENT_COUNTERS>> Counters() const;  // sums over all CPUs

 private:
  Installed() = default;

  agent_settings settings_{};
  uint32_t ingress_id_ = 0;
  uint32_t clamp_id_ = 0;
  UniqueFd clamp_, balancers4_, balancers6_, peers4_, peers6_, counters_;
};

// Adds a prefix to the balancers or to the peers. The maps need no BPF pins yet.
Result<bool> AddPrefix(int balancers4_fd, int balancers6_fd, const SourcePrefix& prefix);

}  // namespace fairlead::agent
