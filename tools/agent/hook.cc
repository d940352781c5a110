#include "tools/agent/hook.h"

#include <unistd.h>

#include <array>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace fairlead::agent {
namespace {

// A low number, so that other ingress filters see the inner packet. Not 1, which people often use
// for filters that they add by hand.
constexpr uint32_t kPriority = 10;
constexpr uint32_t kHandle = 1;

std::string& KernelMessages() {
  static std::string messages;
  return messages;
}

int CollectMessage(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  std::array<char, 512> line{};
  const int length = std::vsnprintf(line.data(), line.size(), format, arguments);
  // The verifier's log can be long. Its beginning says what is wrong.
  if (length > 0 && KernelMessages().size() < 4096) KernelMessages() += line.data();
  return 0;
}

std::string ErrorText(int error) { return std::strerror(error < 0 ? -error : error); }

Status Refused(const std::string& what, int error) {
  const std::string messages = TakeKernelMessages();
  return Unavailable(what + ": " + ErrorText(error) +
                     (messages.empty() ? "" : " (" + messages + ")"));
}

const char* ModeName(uint8_t attach_mode) {
  switch (attach_mode) {
    case XDP_ATTACHED_DRV:
      return "native";
    case XDP_ATTACHED_SKB:
      return "generic";
    case XDP_ATTACHED_HW:
      return "offload";
    default:
      return "several";
  }
}

class ProgramHandle {
 public:
  explicit ProgramHandle(uint32_t id) : fd_(bpf_prog_get_fd_by_id(id)) {}
  ProgramHandle(const ProgramHandle&) = delete;
  ProgramHandle& operator=(const ProgramHandle&) = delete;
  ~ProgramHandle() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

bpf_tc_hook TcHook(int index, Direction direction) {
  bpf_tc_hook hook{};
  hook.sz = sizeof(hook);
  hook.ifindex = index;
  hook.attach_point = direction == Direction::kIngress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
  return hook;
}

// NLMSG_OK without its comparison of an int with an unsigned, about which clang warns.
bool HasMessage(const nlmsghdr* header, int left) {
  return left >= static_cast<int>(sizeof(nlmsghdr)) && header->nlmsg_len >= sizeof(nlmsghdr) &&
         header->nlmsg_len <= static_cast<uint32_t>(left);
}

// Whether this direction of clsact has any filter. Dumps the filters from the kernel.
Result<bool> HasFilters(int index, Direction direction) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return Unavailable("cannot open a netlink socket: " + ErrorText(errno));
  struct {
    nlmsghdr header;
    tcmsg message;
  } request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETTFILTER;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.message.tcm_ifindex = index;
  request.message.tcm_parent =
      TC_H_MAKE(TC_H_CLSACT, direction == Direction::kIngress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
  bool found = false;
  bool done = send(fd, &request, sizeof(request), 0) != sizeof(request);
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  while (!done) {
    auto left = static_cast<int>(recv(fd, buffer.data(), buffer.size(), 0));
    if (left <= 0) break;
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); HasMessage(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == RTM_NEWTFILTER) found = true;
      if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) done = true;
    }
  }
  close(fd);
  return found;
}

}  // namespace

void InstallKernelMessages() { libbpf_set_print(CollectMessage); }

std::string TakeKernelMessages() {
  std::string messages = std::exchange(KernelMessages(), {});
  while (!messages.empty() && messages.back() == '\n') messages.pop_back();
  return messages;
}

Result<Attached> DescribeProgram(uint32_t program_id) {
  const ProgramHandle program(program_id);
  bpf_prog_info info{};
  uint32_t info_bytes = sizeof(info);
  if (program.fd() < 0)
    return Refused("cannot open BPF program " + std::to_string(program_id), errno);
  if (int error = bpf_obj_get_info_by_fd(program.fd(), &info, &info_bytes); error != 0)
    return Refused("cannot read the name of BPF program " + std::to_string(program_id), error);
  return Attached{program_id, info.name, ""};
}

Result<Attached> Hook::QueryXdp() const {
  LIBBPF_OPTS(bpf_xdp_query_opts, options);
  if (int error = bpf_xdp_query(index_, 0, &options); error != 0)
    return Refused("cannot query " + interface_ + "'s XDP program", error);
  if (options.attach_mode == XDP_ATTACHED_NONE) return Attached{};
  if (options.attach_mode == XDP_ATTACHED_MULTI) {
    // Several are attached. Describe the one that the kernel runs first.
    options.prog_id = options.drv_prog_id != 0 ? options.drv_prog_id : options.skb_prog_id;
  }
  ASSIGN_OR_RETURN(Attached attached, DescribeProgram(options.prog_id));
  attached.mode = ModeName(options.attach_mode);
  return attached;
}

Result<std::string> Hook::AttachXdp(int program_fd) const {
  ASSIGN_OR_RETURN(const Attached present, QueryXdp());
  LIBBPF_OPTS(bpf_xdp_attach_opts, options);
  if (present.program_id != 0) {
    if (present.name != kXdpProgram)
      return FailedPrecondition(interface_ + " carries another XDP program ('" + present.name +
                                "', id " + std::to_string(present.program_id) +
                                "); use --hook tc, or remove it: ip link set " + interface_ +
                                " xdp off");
    const ProgramHandle old(present.program_id);
    options.old_prog_fd = old.fd();
    const uint32_t mode = present.mode == "generic" ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
    if (int error = bpf_xdp_attach(index_, program_fd, mode | XDP_FLAGS_REPLACE, &options);
        error != 0)
      return Refused("cannot replace the XDP program on " + interface_, error);
    return present.mode;
  }
  int error = bpf_xdp_attach(index_, program_fd, XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST,
                             &options);
  if (error == 0) return std::string("native");
  const std::string native_messages = TakeKernelMessages();
  error = bpf_xdp_attach(index_, program_fd, XDP_FLAGS_SKB_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST,
                         &options);
  if (error == 0) return std::string("generic");
  return Refused("cannot attach to " + interface_ + " at XDP, neither native (" + native_messages +
                     ") nor generic",
                 error);
}

Status Hook::DetachXdp() const {
  ASSIGN_OR_RETURN(const Attached present, QueryXdp());
  if (present.program_id == 0 || present.name != kXdpProgram) return {};
  const ProgramHandle old(present.program_id);
  LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = old.fd());
  const uint32_t mode = present.mode == "generic" ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
  if (int error = bpf_xdp_detach(index_, mode | XDP_FLAGS_REPLACE, &options); error != 0)
    return Refused("cannot detach the XDP program from " + interface_, error);
  return {};
}

Result<Attached> Hook::QueryTc(Direction direction) const {
  const bpf_tc_hook hook = TcHook(index_, direction);
  LIBBPF_OPTS(bpf_tc_opts, options, .handle = kHandle, .priority = kPriority);
  const int error = bpf_tc_query(&hook, &options);
  // ENOENT: no such filter; EINVAL: no clsact at all.
  if (error == -ENOENT || error == -EINVAL) {
    TakeKernelMessages();
    return Attached{};
  }
  if (error != 0) return Refused("cannot query " + interface_ + "'s TC filters", error);
  ASSIGN_OR_RETURN(Attached attached, DescribeProgram(options.prog_id));
  attached.mode = "tc";
  return attached;
}

Result<bool> Hook::MakeQdisc() const {
  bpf_tc_hook hook = TcHook(index_, Direction::kIngress);
  hook.attach_point =
      static_cast<bpf_tc_attach_point>(static_cast<int>(BPF_TC_INGRESS) | BPF_TC_EGRESS);
  const int error = bpf_tc_hook_create(&hook);
  if (error != 0 && error != -EEXIST)
    return Refused("cannot make the clsact qdisc on " + interface_, error);
  TakeKernelMessages();
  return error == 0;
}

Status Hook::AttachTc(Direction direction, const char* own_name, int program_fd) const {
  ASSIGN_OR_RETURN(const Attached present, QueryTc(direction));
  if (present.program_id != 0 && present.name != own_name)
    return FailedPrecondition(interface_ + " has another TC filter ('" + present.name +
                              "') at priority " + std::to_string(kPriority) +
                              ", which the agent needs; move that filter to another priority");
  const bpf_tc_hook hook = TcHook(index_, direction);
  LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program_fd,
              .flags = present.program_id != 0 ? static_cast<uint32_t>(BPF_TC_F_REPLACE) : 0,
              .handle = kHandle, .priority = kPriority);
  if (int error = bpf_tc_attach(&hook, &options); error != 0)
    return Refused("cannot attach to " + interface_ + " at TC", error);
  return {};
}

Status Hook::DetachTc(Direction direction, const char* own_name) const {
  ASSIGN_OR_RETURN(const Attached present, QueryTc(direction));
  if (present.program_id == 0 || present.name != own_name) return {};
  const bpf_tc_hook hook = TcHook(index_, direction);
  LIBBPF_OPTS(bpf_tc_opts, options, .handle = kHandle, .priority = kPriority);
  if (int error = bpf_tc_detach(&hook, &options); error != 0)
    return Refused("cannot detach the TC filter from " + interface_, error);
  return {};
}

Status Hook::RemoveQdiscIfUnused() const {
  for (Direction direction : {Direction::kIngress, Direction::kEgress}) {
    ASSIGN_OR_RETURN(const bool used, HasFilters(index_, direction));
    if (used) return {};
  }
  bpf_tc_hook hook = TcHook(index_, Direction::kIngress);
  hook.attach_point =
      static_cast<bpf_tc_attach_point>(static_cast<int>(BPF_TC_INGRESS) | BPF_TC_EGRESS);
  const int error = bpf_tc_hook_destroy(&hook);
  if (error != 0 && error != -ENOENT && error != -EINVAL)
    return Refused("cannot remove the clsact qdisc from " + interface_, error);
  TakeKernelMessages();
  return {};
}

}  // namespace fairlead::agent
