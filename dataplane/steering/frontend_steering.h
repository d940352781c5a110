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
//     FrontendSteering::CheckRights()                  may this process do what follows?
//     FrontendSteering::ClearStale("eth1")             a killed predecessor's program, if any
//     SteeringProgram::Path()                          -> "iface=eth1,xdp_prog=<path>" for the EAL
//     rte_eth_rx_queue_setup(...)                      the PMD attaches; no frontend yet: all frames
//                                                      are the kernel's
//     FrontendSteering::Open("eth1")                   finds the maps
//     steering.Add(set)                                before a snapshot is in force
//     steering.RemoveOthers(set)                       after it is
//
// The management thread's, but for the const members, which any thread may call.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

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
  uint64_t to_dataplane = 0;  // frames of ours, handed to a socket
  uint64_t to_kernel = 0;     // frames about nothing of ours
  uint64_t no_socket = 0;     // frames of ours on a queue without a socket: the kernel got them
};

// What a backend of a nat service answers from; port 0 = any.
struct NatSource {
  IpAddress address;
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;       // of a range: its first
  uint16_t last_port = 0;  // of a range; else 0
  // NOLINTNEXTLINE(modernize-use-nullptr): as in address.h
  friend auto operator<=>(const NatSource&, const NatSource&) = default;
};

// Whose packets are the dataplane's. Any order, repeats allowed.
struct SteeringSet {
  std::vector<IpAddress> frontends;  // by destination
  std::vector<NatSource> sources;    // by source, unless they are for an address of this host
};

// One of the program's hash maps, and what we have put into it. Both of its kinds of key have 20
// bytes; of the values the map takes as many bytes as it has, one or all.
class SteeringMap {
 public:
  using Key = std::array<uint8_t, 20>;
  using Value = std::array<uint8_t, sizeof(steering_ports)>;
  using Entries = std::map<Key, Value>;

  SteeringMap() = default;
  explicit SteeringMap(int fd) : fd_(fd) {}
  SteeringMap(SteeringMap&& other) noexcept;
  SteeringMap& operator=(SteeringMap&& other) noexcept;
  ~SteeringMap();

  // The number of entries that were not there, or that had another value.
  Result<uint32_t> Add(const Entries& wanted);
  Result<uint32_t> RemoveOthers(const Entries& wanted);
  bool is_open() const { return fd_ >= 0; }
  size_t size() const { return present_.size(); }

 private:
  int fd_ = -1;
  Entries present_;
};

class FrontendSteering {
 public:
  struct Change {
    uint32_t added = 0;
    uint32_t removed = 0;
  };

  // Tries what loading the program and opening its maps will need (CAP_NET_ADMIN, CAP_BPF or
  // CAP_SYS_ADMIN, in the host's own user namespace), so that a refusal names what is missing.
  static Status CheckRights();

  // Removes our own program from `interface` if a predecessor that was killed left it there: the
  // PMD refuses to attach over any program. Another's program is refused with its name and left
  // alone. REQUIRES that no other dataplane lives on the interface.
  static Status ClearStale(const std::string& interface);

  // Finds the maps of the program attached to `interface`. kFailedPrecondition when there is none
  // or when it is not ours. Knows nothing of what was in the maps before.
  static Result<FrontendSteering> Open(const std::string& interface);

  // Steers what is in `set` here, beside what was before. The number of entries added. On failure
  // some of them are in force, until Restore or the next call, which continues there.
  Result<uint32_t> Add(const SteeringSet& set);
  // Leaves what is not in `set` to the kernel.
  Result<uint32_t> RemoveOthers(const SteeringSet& set);
  // What is in `set` and nothing else, whatever a failed Add has left. The number of entries removed.
  Result<uint32_t> Restore(const SteeringSet& set);
  // Add and RemoveOthers. What is in the old and in the new set is never without its packets.
  Result<Change> Update(const SteeringSet& set);

  // This host's own addresses: what nat backends send there is the kernel's (health checks).
  Status SetHostAddresses(std::span<const IpAddress> addresses);

  // Sums over all CPUs, since the program was loaded.
  Result<SteeringCounts> Counts() const;

  // False once somebody else has removed or replaced the program: the port then receives nothing.
  bool StillAttached() const;

  size_t frontend_count() const { return frontends_.size(); }
  uint32_t program_id() const { return program_id_; }

  FrontendSteering(FrontendSteering&& other) noexcept;
  FrontendSteering& operator=(FrontendSteering&& other) noexcept;
  ~FrontendSteering();

 private:
  FrontendSteering(int interface_index, uint32_t program_id)
      : interface_index_(interface_index), program_id_(program_id) {}

  int interface_index_ = 0;
  uint32_t program_id_ = 0;
  SteeringMap frontends_;
  SteeringMap nat_sources_;
  SteeringMap host_addresses_;
  int counters_fd_ = -1;
};

}  // namespace fairlead
