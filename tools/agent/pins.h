// Where the agent keeps its programs and maps while no process of it runs: pinned in a BPF file
// system, one folder per interface:
//
//   /sys/fs/bpf/fairlead-agent/eth0/{ingress,clamp,balancers4,balancers6,seen_frontends,counters,
//                                    settings}
//
// Dots are not allowed in names there, so "eth0.100" is kept as "eth0%2e100". "NAME+new" is the
// folder of an attach that has not finished; a later one removes it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lib/base/result.h"

namespace fairlead::agent {

inline constexpr const char* kDefaultPins = "/sys/fs/bpf/fairlead-agent";

class Pins {
 public:
  explicit Pins(std::filesystem::path root) : root_(std::move(root)) {}

  // Makes the root folder. Mounts a BPF file system at /sys/fs/bpf if the root is to be there and
  // none is mounted; elsewhere one must be.
  Status Prepare() const;

  // Keeps other fairlead-agent processes with the same root out until the returned descriptor is
  // closed. REQUIRES Prepare().
  Result<int> Lock() const;

  std::filesystem::path Folder(const std::string& interface) const;
  std::filesystem::path NewFolder(const std::string& interface) const;
  // Names of the interfaces that have a folder, sorted; empty when there is no root.
  std::vector<std::string> Interfaces() const;

  Status MakeNewFolder(const std::string& interface) const;  // empty, whatever was there
  Status RemoveNewFolder(const std::string& interface) const;
  Status ReplaceByNew(const std::string& interface) const;  // NewFolder becomes Folder
  Status Remove(const std::string& interface) const;        // both folders, whichever exist

  const std::filesystem::path& root() const { return root_; }

 private:
  std::filesystem::path root_;
};

}  // namespace fairlead::agent
