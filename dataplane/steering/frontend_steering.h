// Steering of a NIC that kernel and dataplane share (AF_XDP ports): which addresses' packets are
// the dataplane's, and which stay with the kernel. steer.bpf.c is the program that decides.
//
// Theory of operation. net_af_xdp loads the program itself, from the path in its `xdp_prog=`
// argument, attaches it when the port's first RX queue is set up, and puts its sockets in the
// program's `xsks_map`. We bring the object file (SteeringProgram: it is embedded in our binary,
// so the two never differ in version) and afterwards find the maps of what is attached by the
// program's id. Nothing is pinned, so any number of dataplanes in any network namespaces of one
// host never meet. docs/decisions/ has what was tried.
//
//     FrontendSteering::ClearStale("eth1")             a killed predecessor's program, if any
//     SteeringProgram::Path()                          -> "iface=eth1,xdp_prog=<path>" for the EAL
//     rte_eth_rx_queue_setup(...)                      the PMD attaches; no frontend yet: all frames
//                                                      are the kernel's
//     FrontendSteering::Open("eth1")                   finds the maps
//     steering.Update(addresses)                       on each snapshot
//
// Everything here belongs to the management thread. Needs CAP_NET_ADMIN, and CAP_SYS_ADMIN to open
// maps by id.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "dataplane/steering/steering_shared.h"
#include "lib/base/result.h"
#include "lib/net/address.h"

namespace fairlead {

// The embedded object as a file without a place in any file system.
class SteeringProgram {
 public:
  // "/proc/self/fd/N", the same one each time; valid in this process, as long as it lives.
  static Result<std::string> Path();
};

struct SteeringCounts {
  uint64_t to_dataplane = 0;  // frames for a frontend, handed to a socket
  uint64_t to_kernel = 0;     // frames about nothing of ours
  uint64_t no_socket = 0;  // frames for a frontend on a queue without a socket: the kernel got them
};

class FrontendSteering {
 public:
  struct Change {
    uint32_t added = 0;
    uint32_t removed = 0;
  };

  // Removes our own program from `interface` if a predecessor that was killed left it there: the
  // PMD refuses to attach over any program. Another's program is refused with its name and left
  // alone. REQUIRES that no other dataplane lives on the interface.
  static Status ClearStale(const std::string& interface);

  // Finds the maps of the program attached to `interface`. kFailedPrecondition when there is none
  // or when it is not ours. Knows nothing of addresses that were in the map before.
  static Result<FrontendSteering> Open(const std::string& interface);

  FrontendSteering(FrontendSteering&& other) noexcept;
  FrontendSteering& operator=(FrontendSteering&& other) noexcept;
  ~FrontendSteering();

  // Makes `addresses` (any order, repeats allowed) the ones whose packets are the dataplane's. Adds
  // before it removes, and touches only what differs, so addresses in both sets are never without
  // their packets. On failure the map is between old and new, and the next Update continues there.
  Result<Change> Update(std::span<const IpAddress> addresses);

  // Sums over all CPUs, since the program was loaded.
  Result<SteeringCounts> Counts() const;

  // False once somebody else has removed or replaced the program: the port then receives nothing.
  bool StillAttached() const;

  size_t size() const { return present_.size(); }
  uint32_t program_id() const { return program_id_; }

 private:
  FrontendSteering(int interface_index, uint32_t program_id)
      : interface_index_(interface_index), program_id_(program_id) {}

  int interface_index_ = 0;
  uint32_t program_id_ = 0;
  int frontends_fd_ = -1;
  int counters_fd_ = -1;
  std::set<IpAddress> present_;  // what the map holds
};

}  // namespace fairlead
