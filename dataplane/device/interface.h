// Queries the kernel about network interfaces, and claims one for this process. Linux, no DPDK.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/net/address.h"

namespace fairlead {

// Fails if this network namespace has no such interface.
Result<uint16_t> ReadInterfaceMtu(const std::string& interface);

// The kernel calls them channels. `rx`: queues that receive. `combined`: those that also send.
struct InterfaceQueues {
  uint32_t rx = 1;
  uint32_t combined = 1;
  uint32_t max_combined = 1;
};
// 1 of each if the driver does not tell.
InterfaceQueues ReadInterfaceQueues(const std::string& interface);

// The kernel's driver of the interface, such as "tun" or "veth"; "" if it does not tell.
std::string ReadInterfaceDriver(const std::string& interface);

// True if the interface is up and has a carrier. False also if it does not exist.
bool ReadInterfaceRunning(const std::string& interface);

struct HostAddress {
  IpAddress address;
  bool on_loopback = false;
  friend bool operator==(const HostAddress&, const HostAddress&) = default;
};
// Every address of every interface of this network namespace.
Result<std::vector<HostAddress>> ReadHostAddresses();

// Prevents other fairlead-dataplane processes in this network namespace from taking the same
// `claim` (any text of up to 90 bytes). The claim is the name of an abstract socket. It ends with
// this object, or with the process, however that ends.
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

// Makes every packet socket of this process ignore outgoing frames. DPDK's AF_PACKET driver (22.11)
// does not set this option. Without it, the driver delivers frames that the kernel sends (health
// checks, ARP) as if they had arrived.
void IgnoreOutgoingOnPacketSockets();

}  // namespace fairlead
