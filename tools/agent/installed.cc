#include "tools/agent/installed.h"

#include <unistd.h>

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fairlead::agent {
namespace {

agent_prefix4 Key4(const SourcePrefix& prefix) {
  agent_prefix4 key{};
  key.length_bits = prefix.length_bits;
  std::memcpy(key.address, prefix.address.bytes().data(), sizeof(key.address));
  return key;
}

agent_prefix6 Key6(const SourcePrefix& prefix) {
  agent_prefix6 key{};
  key.length_bits = prefix.length_bits;
  std::memcpy(key.address, prefix.address.bytes().data(), sizeof(key.address));
  return key;
}

SourcePrefix PrefixOf(const agent_prefix4& key) {
  return {IpAddress::FromV4(key.address), static_cast<uint8_t>(key.length_bits)};
}

SourcePrefix PrefixOf(const agent_prefix6& key) {
  return {IpAddress::FromV6(key.address), static_cast<uint8_t>(key.length_bits)};
}

template <typename Key>
Status CollectKeys(int map_fd, std::vector<SourcePrefix>& prefixes) {
  Key key{};
  Key next{};
  const Key* previous = nullptr;
  // If the trie changes meanwhile, the kernel may start over. So there are at most as many steps as
  // the trie can have entries.
  for (int step = 0; step < AGENT_MAX_BALANCERS; ++step) {
    if (bpf_map_get_next_key(map_fd, previous, &next) != 0) {
      if (errno == ENOENT) return {};
      return Internal(std::string("cannot read the balancers or peers: ") + std::strerror(errno));
    }
    prefixes.push_back(PrefixOf(next));
    key = next;
    previous = &key;
  }
  return {};
}

Result<std::vector<SourcePrefix>> Collect(int prefixes4_fd, int prefixes6_fd) {
  std::vector<SourcePrefix> prefixes;
  RETURN_IF_ERROR(CollectKeys<agent_prefix4>(prefixes4_fd, prefixes));
  RETURN_IF_ERROR(CollectKeys<agent_prefix6>(prefixes6_fd, prefixes));
  std::sort(prefixes.begin(), prefixes.end());
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
  return prefixes;
}

template <typename Key>
Result<bool> Erase(int map_fd, const Key& key, const SourcePrefix& prefix) {
  if (bpf_map_delete_elem(map_fd, &key) == 0) return true;
  if (errno == ENOENT) return false;
  return Internal("cannot remove balancer " + prefix.ToString() + ": " + std::strerror(errno));
}

Result<UniqueFd> OpenMap(const std::filesystem::path& path, uint32_t value_bytes,
                         uint32_t max_entries) {
  UniqueFd fd(bpf_obj_get(path.c_str()));
  bpf_map_info info{};
  uint32_t info_bytes = sizeof(info);
  if (fd.get() < 0 || bpf_obj_get_info_by_fd(fd.get(), &info, &info_bytes) != 0)
    return FailedPrecondition("cannot open " + path.string() + ": " + std::strerror(errno));
  if (info.value_size != value_bytes || info.max_entries != max_entries)
    return FailedPrecondition(path.string() +
                              " was made by another version of fairlead-agent; attach again");
  return fd;
}

}  // namespace

Result<bool> AddPrefix(int balancers4_fd, int balancers6_fd, const SourcePrefix& prefix) {
  const uint8_t value = 1;
  const agent_prefix4 key4 = Key4(prefix);
  const agent_prefix6 key6 = Key6(prefix);
  const bool is_v4 = prefix.address.is_v4();
  const int fd = is_v4 ? balancers4_fd : balancers6_fd;
  const void* key = is_v4 ? static_cast<const void*>(&key4) : &key6;
  if (bpf_map_update_elem(fd, key, &value, BPF_NOEXIST) == 0) return true;
  if (errno == EEXIST) return false;
  if (errno == ENOSPC)
    return ResourceExhausted("cannot add " + prefix.ToString() + ": the list has its maximum of " +
                             std::to_string(AGENT_MAX_BALANCERS) +
                             " prefixes of this address family; use shorter prefixes");
  return Internal("cannot add " + prefix.ToString() + ": " + std::strerror(errno));
}

Result<Installed> Installed::Open(const std::filesystem::path& folder,
                                  const std::string& interface) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored))
    return NotFound("fairlead-agent is not attached to " + interface);
  Installed installed;
  ASSIGN_OR_RETURN(const UniqueFd settings,
                   OpenMap(folder / "settings", sizeof(agent_settings), 1));
  const uint32_t zero = 0;
  if (bpf_map_lookup_elem(settings.get(), &zero, &installed.settings_) != 0)
    return Internal("cannot read the settings of " + interface + ": " + std::strerror(errno));
  ASSIGN_OR_RETURN(installed.balancers4_, OpenMap(folder / "balancers4", 1, AGENT_MAX_BALANCERS));
  ASSIGN_OR_RETURN(installed.balancers6_, OpenMap(folder / "balancers6", 1, AGENT_MAX_BALANCERS));
  ASSIGN_OR_RETURN(installed.peers4_, OpenMap(folder / "peers4", 1, AGENT_MAX_BALANCERS));
  ASSIGN_OR_RETURN(installed.peers6_, OpenMap(folder / "peers6", 1, AGENT_MAX_BALANCERS));
  ASSIGN_OR_RETURN(installed.counters_,
                   OpenMap(folder / "counters", sizeof(uint64_t), AGENT_COUNTERS));
  const UniqueFd ingress(bpf_obj_get((folder / "ingress").c_str()));
  bpf_prog_info info{};
  uint32_t info_bytes = sizeof(info);
  if (ingress.get() < 0 || bpf_obj_get_info_by_fd(ingress.get(), &info, &info_bytes) != 0)
    return FailedPrecondition("cannot open " + (folder / "ingress").string() + ": " +
                              std::strerror(errno));
  installed.ingress_id_ = info.id;
  if (installed.settings_.clamp_mss != 0) {
    installed.clamp_ = UniqueFd(bpf_obj_get((folder / "clamp").c_str()));
    bpf_prog_info clamp{};
    uint32_t clamp_bytes = sizeof(clamp);
    if (installed.clamp_.get() < 0 ||
        bpf_obj_get_info_by_fd(installed.clamp_.get(), &clamp, &clamp_bytes) != 0)
      return FailedPrecondition("cannot open " + (folder / "clamp").string() + ": " +
                                std::strerror(errno));
    installed.clamp_id_ = clamp.id;
  }
  return installed;
}

Result<bool> Installed::Add(const SourcePrefix& prefix) const {
  return AddPrefix(balancers4_.get(), balancers6_.get(), prefix);
}

Result<bool> Installed::Remove(const SourcePrefix& prefix) const {
  return prefix.address.is_v4() ? Erase(balancers4_.get(), Key4(prefix), prefix)
                                : Erase(balancers6_.get(), Key6(prefix), prefix);
}

Result<std::vector<SourcePrefix>> Installed::Balancers() const {
  return Collect(balancers4_.get(), balancers6_.get());
}

Result<std::vector<SourcePrefix>> Installed::Peers() const {
  return Collect(peers4_.get(), peers6_.get());
}

Result<std::array<uint64_t, AGENT_COUNTERS>> Installed::Counters() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return Internal("cannot count the CPUs");
  std::vector<uint64_t> per_cpu(static_cast<size_t>(cpus));
  std::array<uint64_t, AGENT_COUNTERS> sums{};
  for (uint32_t counter = 0; counter < AGENT_COUNTERS; ++counter) {
    if (bpf_map_lookup_elem(counters_.get(), &counter, per_cpu.data()) != 0)
      return Internal(std::string("cannot read the counters: ") + std::strerror(errno));
    for (uint64_t value : per_cpu) sums[counter] += value;
  }
  return sums;
}

}  // namespace fairlead::agent
