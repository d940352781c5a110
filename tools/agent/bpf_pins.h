// The agent's BPF pins. They keep its programs and maps loaded while no agent process runs. Each
// interface has a folder in a BPF file system:
//
//   /sys/fs/bpf/fairlead-agent/eth0/{ingress,clamp,balancers4,balancers6,peers4,peers6,
//                                    seen_frontends,counters,settings}
//
// A BPF file system allows no dots in names, so the folder of "eth0.100" is "eth0%2e100".
// "NAME+new" is the folder of an attach that has not finished. The next attach removes it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace fairlead::agent {

inline constexpr const char* kDefaultBpfPins = "/sys/fs/bpf/fairlead-agent";

class BpfPins {
 public:
  explicit BpfPins(std::filesystem::path root) : root_(std::move(root)) {}

  // Makes the root folder. If the root is in /sys/fs/bpf and no BPF file system is mounted there,
  // mounts one. Any other root must be in a mounted BPF file system.
  Status Prepare() const;

  // Keeps other fairlead-agent processes with the same root waiting until the returned file
  // descriptor is closed. REQUIRES Prepare().
  Result<int> Lock() const;

  std::filesystem::path Folder(const std::string& interface) const;
  std::filesystem::path NewFolder(const std::string& interface) const;
  // Names of the interfaces that have a folder, sorted; empty if there is no root.
  std::vector<std::string> Interfaces() const;

  Status MakeNewFolder(const std::string& interface) const;  // empty; replaces an older one
  Status RemoveNewFolder(const std::string& interface) const;
  Status ReplaceByNew(const std::string& interface) const;  // NewFolder becomes Folder
  Status Remove(const std::string& interface) const;        // both folders, if they exist

  const std::filesystem::path& root() const { return root_; }

 private:
  std::filesystem::path root_;
};

}  // namespace fairlead::agent
