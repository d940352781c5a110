// What the kernel knows of a network interface, and the one claim on it. Linux, no DPDK.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/net/address.h"

namespace fairlead {

// Fails when there is no such interface in this network namespace.
Result<uint16_t> ReadInterfaceMtu(const std::string& interface);

// What the kernel calls channels: `rx` queues that receive, and how many of them send as well.
struct InterfaceQueues {
  uint32_t rx = 1;
  uint32_t combined = 1;
  uint32_t max_combined = 1;
};
// 1 of each where the driver does not tell.
InterfaceQueues ReadInterfaceQueues(const std::string& interface);

// It is up and has a carrier; false also where it is not there.
bool ReadInterfaceRunning(const std::string& interface);

struct HostAddress {
  IpAddress address;
  bool on_loopback = false;
  friend bool operator==(const HostAddress&, const HostAddress&) = default;
};
// Every address of every interface of this network namespace.
Result<std::vector<HostAddress>> ReadHostAddresses();

// Keeps other fairlead-dataplane processes of this network namespace off `claim` (any text up to 90
// bytes) until it is destroyed, or the process ends in whatever way: the name of an abstract
// socket.
class PortClaim {
 public:
  static Result<PortClaim> Take(const std::string& claim);
  ~PortClaim();
  PortClaim(PortClaim&& other) noexcept;
  PortClaim& operator=(PortClaim&&) = delete;
  PortClaim(const PortClaim&) = delete;
  PortClaim& operator=(const PortClaim&) = delete;

 private:
  explicit PortClaim(int fd) : fd_(fd) {}
  int fd_;
};

// Tells every packet socket of this process to leave out what this host itself sends. DPDK's
// AF_PACKET driver does not ask for that (22.11), so it would deliver the kernel's own outgoing
// frames (health checks, ARP) as if they had arrived.
void IgnoreOutgoingOnPacketSockets();

}  // namespace fairlead
