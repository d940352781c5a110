#include "dataplane/steering/frontend_steering.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "lib/host/unique_fd.h"

// Generated code does not compile with our warnings.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "steer.skel.h"
#pragma GCC diagnostic pop

namespace fairlead {
namespace {

constexpr std::string_view kProgramName = "fairlead_steer";

std::string ErrorText(int error) { return std::strerror(error < 0 ? -error : error); }

struct AttachedProgram {
  uint32_t id = 0;
  std::string name;
  std::vector<uint32_t> map_ids;
};

// The XDP program on the interface, in any mode; nothing if there is none.
Result<std::optional<AttachedProgram>> QueryAttached(int interface_index) {
  AttachedProgram program;
  if (int error = bpf_xdp_query_id(interface_index, 0, &program.id); error != 0)
    return Unavailable("cannot query the interface's XDP program: " + ErrorText(error));
  if (program.id == 0) return std::optional<AttachedProgram>();
  UniqueFd fd(bpf_prog_get_fd_by_id(program.id));
  if (fd.get() < 0)
    return Unavailable("cannot open XDP program " + std::to_string(program.id) + ": " +
                       ErrorText(errno));
  std::array<uint32_t, 16> map_ids{};
  bpf_prog_info info{};
  info.nr_map_ids = map_ids.size();
  info.map_ids = reinterpret_cast<uintptr_t>(map_ids.data());
  uint32_t info_bytes = sizeof(info);
  if (int error = bpf_obj_get_info_by_fd(fd.get(), &info, &info_bytes); error != 0)
    return Unavailable("cannot query XDP program " + std::to_string(program.id) + ": " +
                       ErrorText(error));
  program.name = info.name;
  // nr_map_ids is now the program's number of maps, which may be larger than the array.
  size_t count = std::min<size_t>(info.nr_map_ids, map_ids.size());
  program.map_ids.assign(map_ids.begin(), map_ids.begin() + static_cast<std::ptrdiff_t>(count));
  return std::optional(std::move(program));
}

// -1 if the program has no such map.
int OpenMapByName(const AttachedProgram& program, std::string_view name) {
  for (uint32_t id : program.map_ids) {
    UniqueFd fd(bpf_map_get_fd_by_id(id));
    if (fd.get() < 0) continue;
    bpf_map_info info{};
    uint32_t info_bytes = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd.get(), &info, &info_bytes) == 0 && name == info.name)
      return fd.Release();
  }
  return -1;
}

Result<int> InterfaceIndex(const std::string& interface) {
  unsigned index = if_nametoindex(interface.c_str());
  if (index == 0) return NotFound("interface '" + interface + "' does not exist");
  return static_cast<int>(index);
}

Status NotOurs(const std::string& interface, const AttachedProgram& program) {
  return FailedPrecondition("interface '" + interface + "' carries another XDP program ('" +
                            program.name + "', id " + std::to_string(program.id) +
                            "); remove it first: ip link set " + interface + " xdp off");
}

template <typename Layout>
SteeringMap::Key Bytes(const Layout& layout) {
  static_assert(sizeof(Layout) == std::tuple_size_v<SteeringMap::Key>);
  return std::bit_cast<SteeringMap::Key>(layout);
}

SteeringMap::Key KeyOf(const IpAddress& address) {
  steering_address key{};
  key.family = static_cast<uint8_t>(address.family());
  std::memcpy(key.bytes, address.bytes().data(), sizeof(key.bytes));
  return Bytes(key);
}

SteeringMap::Key KeyOf(const NatSource& source) {
  steering_source key{};
  key.family = static_cast<uint8_t>(source.address.family());
  key.protocol = static_cast<uint8_t>(source.protocol);
  key.port = htons(source.port);
  std::memcpy(key.bytes, source.address.bytes().data(), sizeof(key.bytes));
  return Bytes(key);
}

SteeringMap::Entries EntriesOf(std::span<const IpAddress> addresses) {
  SteeringMap::Entries entries;
  for (const IpAddress& address : addresses) entries.emplace(KeyOf(address), SteeringMap::Value{1});
  return entries;
}

using Ranges = std::vector<steering_range>;

// The same ports in the smallest number of ranges.
Ranges Merged(Ranges ranges) {
  std::ranges::sort(ranges, {}, [](const steering_range& range) { return range.first; });
  Ranges merged;
  for (const steering_range& range : ranges) {
    if (!merged.empty() && range.first <= uint32_t{merged.back().last} + 1) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

// Makes one entry for each single port, and one without a port for the ranges and for later
// fragments. If there are too many ranges, the narrowest become single ports.
SteeringMap::Entries EntriesOf(std::span<const NatSource> sources) {
  SteeringMap::Entries entries;
  std::map<NatSource, Ranges> by_host;  // without their ports
  for (const NatSource& source : sources) {
    Ranges& ranges = by_host[{source.address, source.protocol}];
    if (source.port == 0) {
      ranges.push_back({1, UINT16_MAX});
    } else if (source.last_port != 0) {
      ranges.push_back({source.port, source.last_port});
    } else {
      entries.emplace(KeyOf(source), SteeringMap::Value{});
    }
  }
  for (auto& [host, all] : by_host) {
    Ranges ranges = Merged(std::move(all));
    std::ranges::sort(ranges, std::greater(),
                      [](const steering_range& range) { return range.last - range.first; });
    steering_ports ports{};
    for (const steering_range& range : ranges) {
      if (ports.range_count < STEERING_MAX_RANGES) {
        ports.ranges[ports.range_count++] = range;
        continue;
      }
      for (uint32_t port = range.first; port <= range.last; ++port) {
        entries.emplace(KeyOf(NatSource{host.address, host.protocol, static_cast<uint16_t>(port)}),
                        SteeringMap::Value{});
      }
    }
    entries.emplace(KeyOf(host), std::bit_cast<SteeringMap::Value>(ports));
  }
  return entries;
}

Status CheckSize(const char* what, size_t size, size_t limit) {
  if (size <= limit) return {};
  return ResourceExhausted("too many " + std::string(what) + " for steering: " +
                           std::to_string(size) + ", at most " + std::to_string(limit));
}

}  // namespace

Result<std::string> SteeringProgram::Path() {
  static int memory_fd = -1;
  if (memory_fd < 0) {
    size_t object_bytes = 0;
    const void* object = steer_bpf__elf_bytes(&object_bytes);
    UniqueFd fd(memfd_create("fairlead-steer.o", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd.get() < 0) return Internal("cannot create a memfd: " + ErrorText(errno));
    ssize_t written = write(fd.get(), object, object_bytes);
    if (written != static_cast<ssize_t>(object_bytes))
      return Internal("cannot write the steering program to a memfd: " + ErrorText(errno));
    if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
      return Internal("cannot seal the steering program: " + ErrorText(errno));
    memory_fd = fd.Release();
  }
  return "/proc/self/fd/" + std::to_string(memory_fd);
}

Status FrontendSteering::CheckRights() {
  const UniqueFd socket_fd(socket(AF_XDP, SOCK_RAW, 0));
  if (socket_fd.get() < 0 && errno == EAFNOSUPPORT)
    return FailedPrecondition("this kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS)");
  const std::string needs =
      "it needs root, or CAP_NET_RAW, CAP_NET_ADMIN and CAP_SYS_ADMIN, in the host's own user "
      "namespace";
  if (socket_fd.get() < 0)
    return FailedPrecondition("cannot create an AF_XDP socket (" + ErrorText(errno) +
                              "): " + needs);
  const UniqueFd map_fd(bpf_map_create(BPF_MAP_TYPE_XSKMAP, "probe", 4, 4, 1, nullptr));
  if (map_fd.get() < 0)
    return FailedPrecondition("cannot create a BPF map (" + ErrorText(errno) + "): " + needs);
  uint32_t id = 0;
  if (bpf_map_get_next_id(0, &id) != 0)
    return FailedPrecondition("cannot list BPF maps (" + ErrorText(errno) + "): " + needs);
  return {};
}

Status FrontendSteering::ClearStale(const std::string& interface) {
  ASSIGN_OR_RETURN(const int index, InterfaceIndex(interface));
  ASSIGN_OR_RETURN(const auto attached, QueryAttached(index));
  if (!attached) return {};
  if (attached->name != kProgramName) return NotOurs(interface, *attached);
  UniqueFd fd(bpf_prog_get_fd_by_id(attached->id));
  // Removes only this program. A program that was attached meanwhile stays.
  LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = fd.get());
  if (int error = bpf_xdp_detach(index, XDP_FLAGS_REPLACE, &options); error != 0)
    return Unavailable("cannot remove the stale steering program from '" + interface +
                       "': " + ErrorText(error));
  return {};
}

Result<FrontendSteering> FrontendSteering::Open(const std::string& interface) {
  ASSIGN_OR_RETURN(const int index, InterfaceIndex(interface));
  ASSIGN_OR_RETURN(const auto attached, QueryAttached(index));
  if (!attached)
    return FailedPrecondition("interface '" + interface +
                              "' carries no XDP program; the port must be set up first");
  if (attached->name != kProgramName) return NotOurs(interface, *attached);
  FrontendSteering steering(index, attached->id);
  steering.frontends_ = SteeringMap(OpenMapByName(*attached, "frontends"));
  steering.nat_sources_ = SteeringMap(OpenMapByName(*attached, "nat_sources"));
  steering.host_addresses_ = SteeringMap(OpenMapByName(*attached, "host_addresses"));
  steering.counters_fd_ = OpenMapByName(*attached, "steer_counters");
  if (!steering.frontends_.is_open() || !steering.nat_sources_.is_open() ||
      !steering.host_addresses_.is_open() || steering.counters_fd_ < 0)
    return FailedPrecondition("the steering program on '" + interface +
                              "' lacks maps, or opening them is not permitted (CAP_SYS_ADMIN)");
  return steering;
}

FrontendSteering::FrontendSteering(FrontendSteering&& other) noexcept
    : interface_index_(other.interface_index_),
      program_id_(other.program_id_),
      frontends_(std::move(other.frontends_)),
      nat_sources_(std::move(other.nat_sources_)),
      host_addresses_(std::move(other.host_addresses_)),
      counters_fd_(std::exchange(other.counters_fd_, -1)) {}

FrontendSteering& FrontendSteering::operator=(FrontendSteering&& other) noexcept {
  std::swap(interface_index_, other.interface_index_);
  std::swap(program_id_, other.program_id_);
  std::swap(frontends_, other.frontends_);
  std::swap(nat_sources_, other.nat_sources_);
  std::swap(host_addresses_, other.host_addresses_);
  std::swap(counters_fd_, other.counters_fd_);
  return *this;
}

FrontendSteering::~FrontendSteering() {
  if (counters_fd_ >= 0) close(counters_fd_);
}

SteeringMap::SteeringMap(SteeringMap&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), present_(std::move(other.present_)) {}

SteeringMap& SteeringMap::operator=(SteeringMap&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(present_, other.present_);
  return *this;
}

SteeringMap::~SteeringMap() {
  if (fd_ >= 0) close(fd_);
}

Result<uint32_t> SteeringMap::Add(const Entries& wanted) {
  uint32_t added = 0;
  for (const auto& [key, value] : wanted) {
    const auto known = present_.find(key);
    if (known != present_.end() && known->second == value) continue;
    if (bpf_map_update_elem(fd_, key.data(), value.data(), BPF_ANY) != 0)
      return ResourceExhausted("cannot add an entry to a steering map: " + ErrorText(errno));
    present_[key] = value;
    ++added;
  }
  return added;
}

Result<uint32_t> SteeringMap::RemoveOthers(const Entries& wanted) {
  uint32_t removed = 0;
  for (auto it = present_.begin(); it != present_.end();) {
    if (wanted.contains(it->first)) {
      ++it;
      continue;
    }
    if (bpf_map_delete_elem(fd_, it->first.data()) != 0 && errno != ENOENT)
      return Internal("cannot remove an entry from a steering map: " + ErrorText(errno));
    it = present_.erase(it);
    ++removed;
  }
  return removed;
}

Result<uint32_t> FrontendSteering::Add(const SteeringSet& set) {
  const SteeringMap::Entries frontends = EntriesOf(set.frontends);
  const SteeringMap::Entries sources = EntriesOf(set.sources);
  RETURN_IF_ERROR(CheckSize("frontend addresses", frontends.size(), STEERING_MAX_FRONTENDS));
  RETURN_IF_ERROR(CheckSize("backend ports of nat services", sources.size(), STEERING_MAX_SOURCES));
  ASSIGN_OR_RETURN(const uint32_t frontends_added, frontends_.Add(frontends));
  ASSIGN_OR_RETURN(const uint32_t sources_added, nat_sources_.Add(sources));
  return frontends_added + sources_added;
}

Result<uint32_t> FrontendSteering::RemoveOthers(const SteeringSet& set) {
  ASSIGN_OR_RETURN(const uint32_t frontends, frontends_.RemoveOthers(EntriesOf(set.frontends)));
  ASSIGN_OR_RETURN(const uint32_t sources, nat_sources_.RemoveOthers(EntriesOf(set.sources)));
  return frontends + sources;
}

// Removes before it adds, since the map may be full. Add also restores values that have changed.
Result<uint32_t> FrontendSteering::Restore(const SteeringSet& set) {
  ASSIGN_OR_RETURN(const uint32_t removed, RemoveOthers(set));
  RETURN_IF_ERROR(Add(set).status());
  return removed;
}

Result<FrontendSteering::Change> FrontendSteering::Update(const SteeringSet& set) {
  Change change;
  ASSIGN_OR_RETURN(change.added, Add(set));
  ASSIGN_OR_RETURN(change.removed, RemoveOthers(set));
  return change;
}

Status FrontendSteering::SetHostAddresses(std::span<const IpAddress> addresses) {
  const SteeringMap::Entries entries = EntriesOf(addresses);
  RETURN_IF_ERROR(CheckSize("addresses of this host", entries.size(), STEERING_MAX_HOST_ADDRESSES));
  RETURN_IF_ERROR(host_addresses_.Add(entries).status());
  return host_addresses_.RemoveOthers(entries).status();
}

Result<SteeringCounts> FrontendSteering::Counts() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return Internal("cannot count the CPUs: " + ErrorText(cpus));
  std::vector<uint64_t> per_cpu(static_cast<size_t>(cpus));
  std::array<uint64_t, STEERING_COUNTERS> sums{};
  for (uint32_t counter = 0; counter < STEERING_COUNTERS; ++counter) {
    if (bpf_map_lookup_elem(counters_fd_, &counter, per_cpu.data()) != 0)
      return Internal("cannot read steering counters: " + ErrorText(errno));
    for (uint64_t value : per_cpu) sums[counter] += value;
  }
  return SteeringCounts{.to_dataplane = sums[STEERING_TO_DATAPLANE],
                        .to_kernel = sums[STEERING_TO_KERNEL],
                        .no_socket = sums[STEERING_NO_SOCKET]};
}

bool FrontendSteering::StillAttached() const {
  uint32_t id = 0;
  return bpf_xdp_query_id(interface_index_, 0, &id) == 0 && id == program_id_;
}

}  // namespace fairlead
