// Steering of a NIC that kernel and dataplane share (AF_XDP ports): which packets go to the
// dataplane, and which to the kernel. The program steer.bpf.c decides.
//
// Theory of operation. net_af_xdp loads the program, from the path in its `xdp_prog=` argument. It
// attaches the program when the port's first RX queue is set up, and puts its sockets into the
// program's `xsks_map`. We provide the object file (SteeringProgram). It is embedded in our binary,
// so both always have the same version. Afterwards we find the maps of the attached program by the
// program's id. There are no BPF pins, so dataplanes in different network namespaces of one host
// cannot conflict. docs/decisions/ describes the alternatives.
//
//     FrontendSteering::CheckRights()                  may this process do the following?
//     FrontendSteering::ClearStale("eth1")             removes the program of a killed process
//     SteeringProgram::Path()                          -> "iface=eth1,xdp_prog=<path>" for the EAL
//     rte_eth_rx_queue_setup(...)                      the PMD attaches the program; without
//                                                      frontends, all frames go to the kernel
//     FrontendSteering::Open("eth1")                   finds the maps
//     steering.Add(set)                                before a snapshot is in force
//     steering.RemoveOthers(set)                       after it is in force
//
// Management thread. Any thread may call const members.
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

// The embedded object file, as a memfd.
class SteeringProgram {
 public:
  // "/proc/self/fd/N", the same at each call. Valid in this process until it ends.
  static Result<std::string> Path();
};

struct SteeringCounts {
  uint64_t to_dataplane = 0;  // frames passed to a socket
  uint64_t to_kernel = 0;     // frames that match no entry
  uint64_t no_socket = 0;     // matching frames on a queue without a socket: the kernel got them
};

// The source of a nat backend's replies; port 0 = any.
struct NatSource {
  IpAddress address;
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;       // the port, or the first of a range
  uint16_t last_port = 0;  // the last of a range; 0 = no range
  // NOLINTNEXTLINE(modernize-use-nullptr): as in address.h
  friend auto operator<=>(const NatSource&, const NatSource&) = default;
};

// The packets that go to the dataplane. Any order, duplicates allowed.
struct SteeringSet {
  std::vector<IpAddress> frontends;  // by destination
  std::vector<NatSource> sources;    // by source, unless they are for an address of this host
};

// One of the program's hash maps, and the entries that we have added. Both kinds of keys have 20
// bytes. The map uses as many bytes of a value as its values have: one, or all.
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

  // Returns the number of entries that are new or had another value.
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

  // Checks the rights that loading the program and opening its maps need (CAP_NET_ADMIN, CAP_BPF or
  // CAP_SYS_ADMIN, in the host's user namespace). The error names the missing right.
  static Status CheckRights();

  // Removes our program from `interface` if a killed process left it there: the PMD cannot attach
  // over another program. A foreign program stays, and the error names it. REQUIRES that no other
  // dataplane uses the interface.
  static Status ClearStale(const std::string& interface);

  // Finds the maps of the program on `interface`. kFailedPrecondition: there is no program, or it
  // is not ours. Does not read entries that are already in the maps.
  static Result<FrontendSteering> Open(const std::string& interface);

  // Adds the entries of `set` to the existing ones. Returns the number of entries added. After a
  // failure some are in force, until Restore. The next call adds the rest.
  Result<uint32_t> Add(const SteeringSet& set);
  // Removes all entries that are not in `set`: their packets go to the kernel.
  Result<uint32_t> RemoveOthers(const SteeringSet& set);
  // Leaves only the entries of `set`, even after a failed Add. Returns the number removed.
  Result<uint32_t> Restore(const SteeringSet& set);
  // Add, then RemoveOthers. Entries in both the old and the new set stay in force all the time.
  Result<Change> Update(const SteeringSet& set);

  // Sets this host's addresses. Packets from nat backends to them go to the kernel (health checks).
  Status SetHostAddresses(std::span<const IpAddress> addresses);

  // Sums over all CPUs since the program was loaded.
  Result<SteeringCounts> Counts() const;

  // False after the program was removed or replaced: the port then receives nothing.
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
