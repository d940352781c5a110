// Port kinds. Each is one descriptor in its own file, such as af_xdp.cc. device_kinds.cc lists all.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace fairlead {

struct DeviceSpec;

inline constexpr uint32_t kFrameOverhead = 14 + 8;  // Ethernet header and two tags
inline constexpr uint32_t kXdpHeadroom = 256;       // XDP_PACKET_HEADROOM
inline constexpr uint32_t kMinBufferBytes = 2048;   // smallest buffer size, bytes

// The kernel interface through which the kernel reaches the port's network.
enum class KernelInterface : uint8_t {
  kNone,
  kTarget,    // the device's target; it exists before the port, and the port takes its MTU
  kOfDriver,  // the interface that DPDK's driver names, if any
};

// Input for DPDK's device arguments, besides the device itself.
struct DeviceUse {
  uint32_t queue_count = 1;
  uint32_t frame_bytes = 0;  // the largest Ethernet frame that the port must carry
  std::string program = {};  // what `prepare` returned
};

struct DeviceKind {
  std::string_view syntax;  // the syntax, for messages: "af_xdp:IF"
  std::string_view name;    // the text before the colon; the whole text if `parse` is null
  // Used instead of `name`: true if the text is of this kind. `parse` then gets the whole text.
  bool (*matches)(std::string_view text) = nullptr;
  Status (*parse)(std::string_view rest, DeviceSpec* spec) = nullptr;

  // Two ports with equal claims would use the same device. Null: any number of ports may use it.
  std::string (*claim)(const DeviceSpec& spec) = nullptr;
  // The target is the name of a kernel interface that the port stands for.
  bool is_interface = false;
  KernelInterface kernel_interface = KernelInterface::kNone;

  // DPDK's device name is this prefix and the port's index. Empty: EAL creates the device, and the
  // target is its name.
  std::string_view vdev_prefix = {};
  std::string (*vdev_arguments)(const DeviceSpec& spec, const DeviceUse& use) = nullptr;
  bool is_pci = false;       // EAL finds it on the PCI bus; we pass --allow for it
  bool sets_mtu = false;     // the port's MTU is set on the device
  uint16_t max_mtu = 65535;  // limits the MTU of all ports of the process
  // Shares its NIC with the kernel through a steering program (frontend_steering.h).
  bool is_steered = false;
  // Checks before DPDK starts whether the device can be opened. Null: nothing to check.
  Status (*check)(const DeviceSpec& spec) = nullptr;
  // False: the device is not there, or not set up yet; another start may find it. Null: nothing to
  // wait for.
  bool (*is_present)(const DeviceSpec& spec) = nullptr;
  // Checks and prepares the device before DPDK opens it. The result goes to `vdev_arguments`.
  // `port`: the port's name, for messages. Null: no preparation.
  Result<std::string> (*prepare)(const DeviceSpec& spec, const std::string& port,
                                 uint32_t queue_count) = nullptr;
  // The number of queues that the device can have, where it must not be opened with more. Null: the
  // opened device tells.
  uint32_t (*queue_limit)(const DeviceSpec& spec) = nullptr;
};

extern const DeviceKind kPciDevice;
extern const DeviceKind kAfXdpDevice;
extern const DeviceKind kAfPacketDevice;
extern const DeviceKind kTapDevice;
extern const DeviceKind kMemifDevice;
extern const DeviceKind kPcapDevice;
extern const DeviceKind kNullDevice;
extern const DeviceKind kRingDevice;
extern const DeviceKind kVdevDevice;

// All kinds, in the order in which messages list them.
std::span<const DeviceKind* const> DeviceKinds();

}  // namespace fairlead
