#include "dataplane/steering/frontend_steering.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <linux/if_link.h>
#include <net/if.h>
#include <sys/mman.h>

// Generated; our warnings are not its.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "steer.skel.h"
#pragma GCC diagnostic pop

namespace fairlead {
namespace {

constexpr std::string_view kProgramName = "fairlead_steer";

std::string ErrorText(int error) { return std::strerror(error < 0 ? -error : error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct AttachedProgram {
  uint32_t id = 0;
  std::string name;
  std::vector<uint32_t> map_ids;
};

// What is attached to the interface, in whatever mode; nothing when there is no program.
Result<std::optional<AttachedProgram>> QueryAttached(int interface_index) {
  AttachedProgram program;
  if (int error = bpf_xdp_query_id(interface_index, 0, &program.id); error != 0)
    return Unavailable("cannot query the interface's XDP program: " + ErrorText(error));
  if (program.id == 0) return std::optional<AttachedProgram>();
  Descriptor fd(bpf_prog_get_fd_by_id(program.id));
  if (fd.get() < 0)
    return Unavailable("cannot open XDP program " + std::to_string(program.id) + ": " +
                       ErrorText(errno));
  std::array<uint32_t, 16> map_ids{};
  bpf_prog_info info{};
  info.nr_map_ids = map_ids.size();
  info.map_ids = reinterpret_cast<uintptr_t>(map_ids.data());
  uint32_t info_bytes = sizeof(info);
  if (int error = bpf_obj_get_info_by_fd(fd.get(), &info, &info_bytes); error != 0)
    return Unavailable("cannot read about XDP program " + std::to_string(program.id) + ": " +
                       ErrorText(error));
  program.name = info.name;
  // nr_map_ids comes back as the program's number of maps, which may be more than there was room.
  size_t count = std::min<size_t>(info.nr_map_ids, map_ids.size());
  program.map_ids.assign(map_ids.begin(), map_ids.begin() + static_cast<std::ptrdiff_t>(count));
  return std::optional(std::move(program));
}

// -1 when the program has no such map.
int OpenMapByName(const AttachedProgram& program, std::string_view name) {
  for (uint32_t id : program.map_ids) {
    Descriptor fd(bpf_map_get_fd_by_id(id));
    if (fd.get() < 0) continue;
    bpf_map_info info{};
    uint32_t info_bytes = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd.get(), &info, &info_bytes) == 0 && name == info.name)
      return fd.release();
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

steering_address KeyOf(const IpAddress& address) {
  steering_address key{};
  key.family = static_cast<uint8_t>(address.family());
  std::memcpy(key.bytes, address.bytes().data(), sizeof(key.bytes));
  return key;
}

}  // namespace

Result<std::string> SteeringProgram::Path() {
  static int memory_fd = -1;
  if (memory_fd < 0) {
    size_t object_bytes = 0;
    const void* object = steer_bpf__elf_bytes(&object_bytes);
    Descriptor fd(memfd_create("fairlead-steer.o", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd.get() < 0) return Internal("cannot make a memory file: " + ErrorText(errno));
    ssize_t written = write(fd.get(), object, object_bytes);
    if (written != static_cast<ssize_t>(object_bytes))
      return Internal("cannot write the steering program to a memory file: " + ErrorText(errno));
    if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
      return Internal("cannot seal the steering program: " + ErrorText(errno));
    memory_fd = fd.release();
  }
  return "/proc/self/fd/" + std::to_string(memory_fd);
}

Status FrontendSteering::ClearStale(const std::string& interface) {
  ASSIGN_OR_RETURN(const int index, InterfaceIndex(interface));
  ASSIGN_OR_RETURN(const auto attached, QueryAttached(index));
  if (!attached) return {};
  if (attached->name != kProgramName) return NotOurs(interface, *attached);
  Descriptor fd(bpf_prog_get_fd_by_id(attached->id));
  // Only this very program: one that somebody attached meanwhile stays.
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
  steering.frontends_fd_ = OpenMapByName(*attached, "frontends");
  steering.counters_fd_ = OpenMapByName(*attached, "steer_counters");
  if (steering.frontends_fd_ < 0 || steering.counters_fd_ < 0)
    return FailedPrecondition("the steering program on '" + interface +
                              "' lacks its maps, or they may not be opened (CAP_SYS_ADMIN)");
  return steering;
}

FrontendSteering::FrontendSteering(FrontendSteering&& other) noexcept
    : interface_index_(other.interface_index_),
      program_id_(other.program_id_),
      frontends_fd_(std::exchange(other.frontends_fd_, -1)),
      counters_fd_(std::exchange(other.counters_fd_, -1)),
      present_(std::move(other.present_)) {}

FrontendSteering& FrontendSteering::operator=(FrontendSteering&& other) noexcept {
  std::swap(interface_index_, other.interface_index_);
  std::swap(program_id_, other.program_id_);
  std::swap(frontends_fd_, other.frontends_fd_);
  std::swap(counters_fd_, other.counters_fd_);
  std::swap(present_, other.present_);
  return *this;
}

FrontendSteering::~FrontendSteering() {
  if (frontends_fd_ >= 0) close(frontends_fd_);
  if (counters_fd_ >= 0) close(counters_fd_);
}

Result<FrontendSteering::Change> FrontendSteering::Update(std::span<const IpAddress> addresses) {
  const std::set<IpAddress> wanted(addresses.begin(), addresses.end());
  if (wanted.size() > STEERING_MAX_FRONTENDS)
    return ResourceExhausted("steering holds at most " + std::to_string(STEERING_MAX_FRONTENDS) +
                             " frontend addresses, not " + std::to_string(wanted.size()));
  Change change;
  for (const IpAddress& address : wanted) {
    if (present_.contains(address)) continue;
    const steering_address key = KeyOf(address);
    const uint8_t value = 1;
    if (bpf_map_update_elem(frontends_fd_, &key, &value, BPF_ANY) != 0)
      return ResourceExhausted("cannot steer " + address.ToString() + ": " + ErrorText(errno));
    present_.insert(address);
    ++change.added;
  }
  for (auto it = present_.begin(); it != present_.end();) {
    if (wanted.contains(*it)) {
      ++it;
      continue;
    }
    const steering_address key = KeyOf(*it);
    if (bpf_map_delete_elem(frontends_fd_, &key) != 0 && errno != ENOENT)
      return Internal("cannot stop steering " + it->ToString() + ": " + ErrorText(errno));
    it = present_.erase(it);
    ++change.removed;
  }
  return change;
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
