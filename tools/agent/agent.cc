#include "tools/agent/agent.h"

#include <unistd.h>

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include <net/if.h>

#include "tools/agent/hook.h"
#include "tools/agent/installed.h"

// The generated code causes these warnings.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "agent.skel.h"
#pragma GCC diagnostic pop

namespace fairlead::agent {
namespace {

struct DestroySkeleton {
  void operator()(agent_bpf* skeleton) const { agent_bpf__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<agent_bpf, DestroySkeleton>;

Status Failed(const std::string& what, int error) {
  const std::string messages = TakeKernelMessages();
  return Internal(what + ": " + std::strerror(error < 0 ? -error : error) +
                  (messages.empty() ? "" : "\n" + messages));
}

bpf_program* IngressProgram(const agent_bpf& skeleton, agent_hook hook) {
  return hook == AGENT_HOOK_XDP ? skeleton.progs.fairlead_xdp : skeleton.progs.fairlead_tc;
}

// Loads the programs into the kernel and fills in balancers and peers. Attaches nothing and makes
// no BPF pins.
Result<Skeleton> Load(const AttachOptions& options, int interface_index, bool made_qdisc) {
  Skeleton skeleton(agent_bpf__open());
  if (!skeleton) return Failed("cannot open the embedded programs", errno);
  bpf_program__set_autoload(skeleton->progs.fairlead_xdp, options.hook == AGENT_HOOK_XDP);
  bpf_program__set_autoload(skeleton->progs.fairlead_tc, options.hook == AGENT_HOOK_TC);
  bpf_program__set_autoload(skeleton->progs.fairlead_clamp, options.clamp_mss != 0);
  agent_settings& settings = skeleton->rodata->settings;
  settings.interface_index = static_cast<uint32_t>(interface_index);
  settings.gue_port = options.gue_port;
  settings.clamp_mss = options.clamp_mss;
  settings.strict = options.strict ? 1 : 0;
  settings.hook = static_cast<uint8_t>(options.hook);
  settings.made_qdisc = made_qdisc ? 1 : 0;
  settings.second_chance = options.peers.empty() ? 0 : 1;
  if (int error = agent_bpf__load(skeleton.get()); error != 0)
    return Failed("the kernel refused to load the BPF programs", error);
  for (const SourcePrefix& prefix : options.balancers) {
    Result<bool> added = AddPrefix(bpf_map__fd(skeleton->maps.balancers4),
                                   bpf_map__fd(skeleton->maps.balancers6), prefix);
    if (!added.ok()) return added.status();
  }
  for (const SourcePrefix& prefix : options.peers) {
    Result<bool> added =
        AddPrefix(bpf_map__fd(skeleton->maps.peers4), bpf_map__fd(skeleton->maps.peers6), prefix);
    if (!added.ok()) return added.status();
  }
  return skeleton;
}

Status Pin(const agent_bpf& skeleton, const AttachOptions& options,
           const std::filesystem::path& folder) {
  const std::array<std::pair<const char*, int>, 9> objects = {{
      {"ingress", bpf_program__fd(IngressProgram(skeleton, options.hook))},
      {"clamp", options.clamp_mss != 0 ? bpf_program__fd(skeleton.progs.fairlead_clamp) : -1},
      {"balancers4", bpf_map__fd(skeleton.maps.balancers4)},
      {"balancers6", bpf_map__fd(skeleton.maps.balancers6)},
      {"peers4", bpf_map__fd(skeleton.maps.peers4)},
      {"peers6", bpf_map__fd(skeleton.maps.peers6)},
      {"seen_frontends", bpf_map__fd(skeleton.maps.seen_frontends)},
      {"counters", bpf_map__fd(skeleton.maps.counters)},
      {"settings", bpf_map__fd(skeleton.maps.rodata)},
  }};
  for (const auto& [name, fd] : objects) {
    if (fd < 0) continue;
    if (bpf_obj_pin(fd, (folder / name).c_str()) != 0)
      return Failed("cannot make the BPF pin " + (folder / name).string(), errno);
  }
  return {};
}

// Restores the previous SYN-ACK program after a failed attach.
void RestoreClamp(const Hook& hook, const std::optional<Installed>& before) {
  const int old_fd = before ? before->clamp_fd() : -1;
  const Status status = old_fd >= 0 ? hook.AttachTc(Direction::kEgress, kClampProgram, old_fd)
                                    : hook.DetachTc(Direction::kEgress, kClampProgram);
  // The caller reports the failed attach, which says more than a failure here.
  static_cast<void>(status);
}

// Attaches the ingress program last. Until then nothing changes for received packets.
Result<std::string> AttachAll(const Hook& hook, const agent_bpf& skeleton,
                              const AttachOptions& options,
                              const std::optional<Installed>& before) {
  if (options.clamp_mss != 0)
    RETURN_IF_ERROR(hook.AttachTc(Direction::kEgress, kClampProgram,
                                  bpf_program__fd(skeleton.progs.fairlead_clamp)));
  const int fd = bpf_program__fd(IngressProgram(skeleton, options.hook));
  Result<std::string> mode = std::string("tc");
  if (options.hook == AGENT_HOOK_XDP) {
    mode = hook.AttachXdp(fd);
  } else if (Status status = hook.AttachTc(Direction::kIngress, kTcProgram, fd); !status.ok()) {
    mode = status;
  }
  if (!mode.ok()) RestoreClamp(hook, before);
  return mode;
}

int ReadSetting(const std::string& path) {
  std::ifstream file(path);
  int value = 0;
  file >> value;
  return value;
}

std::vector<std::string> NotesAbout(const std::string& interface) {
  std::vector<std::string> notes;
  const std::string folder = "/proc/sys/net/ipv4/conf/";
  // The kernel uses the larger of the two numbers. 1 is strict, 2 is loose.
  const int filter = std::max(ReadSetting(folder + "all/rp_filter"),
                              ReadSetting(folder + interface + "/rp_filter"));
  if (filter == 1)
    notes.push_back(
        "rp_filter is strict: the kernel drops packets of clients whose route is not through " +
        interface + "; if there are such clients, run: sysctl net.ipv4.conf." + interface +
        ".rp_filter=2");
  return notes;
}

// Detaches the agent's programs from every hook of the interface, whatever the BPF pins say. Sets
// `found` if there was one.
Status DetachHooks(const Hook& hook, bool& found) {
  ASSIGN_OR_RETURN(const Attached xdp, hook.QueryXdp());
  ASSIGN_OR_RETURN(const Attached ingress, hook.QueryTc(Direction::kIngress));
  ASSIGN_OR_RETURN(const Attached egress, hook.QueryTc(Direction::kEgress));
  found = found || xdp.name == kXdpProgram || ingress.name == kTcProgram ||
          egress.name == kClampProgram;
  RETURN_IF_ERROR(hook.DetachXdp());
  RETURN_IF_ERROR(hook.DetachTc(Direction::kIngress, kTcProgram));
  return hook.DetachTc(Direction::kEgress, kClampProgram);
}

// Detaches what an earlier attach left and the new one does not use.
Status DetachUnused(const Hook& hook, const AttachOptions& options, bool made_qdisc) {
  if (options.hook == AGENT_HOOK_XDP) {
    RETURN_IF_ERROR(hook.DetachTc(Direction::kIngress, kTcProgram));
  } else {
    RETURN_IF_ERROR(hook.DetachXdp());
  }
  if (options.clamp_mss == 0) RETURN_IF_ERROR(hook.DetachTc(Direction::kEgress, kClampProgram));
  const bool uses_tc = options.hook == AGENT_HOOK_TC || options.clamp_mss != 0;
  return made_qdisc && !uses_tc ? hook.RemoveQdiscIfUnused() : Status();
}

Result<std::string> LoadAndAttach(const BpfPins& pins, const Hook& hook,
                                  const AttachOptions& options,
                                  const std::optional<Installed>& before, bool made_qdisc) {
  ASSIGN_OR_RETURN(const Skeleton skeleton, Load(options, hook.index(), made_qdisc));
  RETURN_IF_ERROR(pins.MakeNewFolder(hook.interface()));
  RETURN_IF_ERROR(Pin(*skeleton, options, pins.NewFolder(hook.interface())));
  return AttachAll(hook, *skeleton, options, before);
}

}  // namespace

Status CheckHost() {
  if (geteuid() != 0)
    return FailedPrecondition("fairlead-agent loads BPF programs and needs root; run it with sudo");
  const int xdp = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, nullptr);
  const int tc = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, nullptr);
  TakeKernelMessages();
  if (xdp <= 0 && tc <= 0)
    return FailedPrecondition(
        "this kernel does not load BPF programs; it needs CONFIG_BPF_SYSCALL, and a container "
        "needs CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN");
  return {};
}

Result<AttachOutcome> Attach(const BpfPins& pins, const std::string& interface,
                             const AttachOptions& options) {
  if (options.balancers.empty())
    return InvalidArgument(
        "no --balancer is given; the agent accepts packets from balancers only, so name each with "
        "--balancer ADDRESS");
  if (!options.peers.empty() && options.hook != AGENT_HOOK_TC)
    return InvalidArgument(
        "--peer needs --hook tc: at XDP the kernel cannot look up the neighbour to which a packet "
        "must be sent on");
  const auto index = static_cast<int>(if_nametoindex(interface.c_str()));
  if (index == 0) return NotFound("interface '" + interface + "' does not exist");
  RETURN_IF_ERROR(pins.Prepare());
  ASSIGN_OR_RETURN(const int lock_fd, pins.Lock());
  const UniqueFd lock(lock_fd);

  const Hook hook(index, interface);
  std::optional<Installed> before;
  if (Result<Installed> found = Installed::Open(pins.Folder(interface), interface); found.ok())
    before = std::move(found).value();
  bool made_qdisc = before && before->settings().made_qdisc != 0 &&
                    before->settings().interface_index == static_cast<uint32_t>(index);
  bool made_now = false;
  if (options.hook == AGENT_HOOK_TC || options.clamp_mss != 0) {
    ASSIGN_OR_RETURN(made_now, hook.MakeQdisc());
    made_qdisc = made_qdisc || made_now;
  }
  const Result<std::string> mode = LoadAndAttach(pins, hook, options, before, made_qdisc);
  if (!mode.ok()) {
    // Undoes what was made. The caller gets the failed attach, which says more than a failure here.
    static_cast<void>(pins.RemoveNewFolder(interface));
    if (made_now) static_cast<void>(hook.RemoveQdiscIfUnused());
    return mode.status();
  }
  RETURN_IF_ERROR(pins.ReplaceByNew(interface));
  RETURN_IF_ERROR(DetachUnused(hook, options, made_qdisc));
  return AttachOutcome{*mode, before.has_value(), NotesAbout(interface)};
}

Result<bool> Detach(const BpfPins& pins, const std::string& interface) {
  RETURN_IF_ERROR(pins.Prepare());
  ASSIGN_OR_RETURN(const int lock_fd, pins.Lock());
  const UniqueFd lock(lock_fd);
  std::error_code ignored;
  bool found = std::filesystem::exists(pins.Folder(interface), ignored);
  bool made_qdisc = false;
  const auto index = static_cast<int>(if_nametoindex(interface.c_str()));
  if (index != 0) {
    const Hook hook(index, interface);
    if (Result<Installed> before = Installed::Open(pins.Folder(interface), interface); before.ok())
      made_qdisc = before->settings().made_qdisc != 0 &&
                   before->settings().interface_index == static_cast<uint32_t>(index);
    RETURN_IF_ERROR(DetachHooks(hook, found));
    if (made_qdisc) RETURN_IF_ERROR(hook.RemoveQdiscIfUnused());
  } else if (!found) {
    return NotFound("interface '" + interface + "' does not exist");
  }
  RETURN_IF_ERROR(pins.Remove(interface));
  return found;
}

InterfaceStatus StatusOf(const BpfPins& pins, const std::string& interface) {
  InterfaceStatus status;
  status.interface = interface;
  const auto fill = [&]() -> Status {
    ASSIGN_OR_RETURN(const Installed installed, Installed::Open(pins.Folder(interface), interface));
    status.settings = installed.settings();
    status.program_id = installed.ingress_program_id();
    ASSIGN_OR_RETURN(status.balancers, installed.Balancers());
    ASSIGN_OR_RETURN(status.peers, installed.Peers());
    ASSIGN_OR_RETURN(status.counters, installed.Counters());
    const auto index = static_cast<int>(if_nametoindex(interface.c_str()));
    if (index == 0) return {};
    const Hook hook(index, interface);
    ASSIGN_OR_RETURN(const Attached at_hook, status.settings.hook == AGENT_HOOK_XDP
                                                 ? hook.QueryXdp()
                                                 : hook.QueryTc(Direction::kIngress));
    status.attached = at_hook.program_id != 0 && at_hook.program_id == status.program_id;
    if (status.attached) status.mode = at_hook.mode;
    const uint32_t clamp_id = installed.clamp_program_id();
    ASSIGN_OR_RETURN(const Attached egress, hook.QueryTc(Direction::kEgress));
    status.clamped = clamp_id == 0 || egress.program_id == clamp_id;
    return {};
  };
  if (Status filled = fill(); !filled.ok()) status.problem = filled.message();
  return status;
}

}  // namespace fairlead::agent
