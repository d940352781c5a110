// One interface's pinned programs and maps, opened: settings, balancers, counters.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "tools/agent/agent_shared.h"
#include "tools/agent/prefix.h"

namespace fairlead::agent {

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

class Installed {
 public:
  // kNotFound when nothing is pinned there; kFailedPrecondition when another version of the agent
  // pinned it, whose maps do not have our shape.
  static Result<Installed> Open(const std::filesystem::path& folder, const std::string& interface);

  const agent_settings& settings() const { return settings_; }
  uint32_t ingress_program_id() const { return ingress_id_; }
  // 0 when SYN-ACKs are not clamped.
  uint32_t clamp_program_id() const { return clamp_id_; }
  // -1 when SYN-ACKs are not clamped.
  int clamp_fd() const { return clamp_.get(); }

  Result<bool> Add(const Prefix& prefix) const;                   // false: was there
  Result<bool> Remove(const Prefix& prefix) const;                // false: was not there
  Result<std::vector<Prefix>> Balancers() const;                  // IPv4 first, each sorted
  Result<std::vector<Prefix>> Peers() const;                      // the same
  Result<std::array<uint64_t, AGENT_COUNTERS>> Counters() const;  // sums over all CPUs

 private:
  Installed() = default;

  agent_settings settings_{};
  uint32_t ingress_id_ = 0;
  uint32_t clamp_id_ = 0;
  Descriptor clamp_, balancers4_, balancers6_, peers4_, peers6_, counters_;
};

// Also used on maps that are not pinned yet.
Result<bool> AddBalancer(int balancers4_fd, int balancers6_fd, const Prefix& prefix);

}  // namespace fairlead::agent
