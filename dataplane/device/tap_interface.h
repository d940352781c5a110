// A TAP interface: the kernel sends and receives frames on it, and this process is its other end.
// The interface outlives the process, so that its addresses, routes and VLAN interfaces stay. The
// next process takes it over. While no process has it open, it has no carrier. Linux, no DPDK.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/device/interface.h"
#include "lib/base/result.h"
#include "lib/host/unique_fd.h"
#include "lib/net/address.h"

namespace fairlead {

struct TapSetting {
  std::string name;
  MacAddress mac;
  uint16_t mtu = 1500;
  uint32_t queues = 1;
};

class TapInterface {
 public:
  // Creates the interface, or takes over the one that an earlier process left, and sets it up. An
  // error says what to do.
  static Result<TapInterface> Open(const TapSetting& setting);

  // One thread for each queue.

  // Reads the next frame from the kernel. Returns its length, 0 if there is none. A longer frame
  // than `room` is cut.
  size_t Read(uint32_t queue, std::span<uint8_t> room) const;
  // Passes a frame to the kernel. False if the kernel does not accept it: the interface is down.
  bool Write(uint32_t queue, std::span<const uint8_t> frame) const;

  // Main thread. The kernel and its network managers then know whether packets can leave.
  void SetCarrier(bool has_carrier);
  // Main thread. True if the interface was deleted. Another one of its name is not this one.
  bool IsDeleted() const;
  // Main thread. Gives the interface its MAC again if another program has changed it, since replies
  // then go to the other MAC. systemd-udevd does this soon after it sees a new interface. Returns
  // the other MAC if there was one.
  std::optional<MacAddress> RestoreMac();

 private:
  TapInterface(PortClaim claim, MacAddress mac) : claim_(std::move(claim)), mac_(mac) {}
  PortClaim claim_;
  MacAddress mac_;
  std::vector<UniqueFd> queues_;
};

}  // namespace fairlead
