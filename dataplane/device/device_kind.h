// The kinds of devices that a port may have: one descriptor each, in a file of its own (af_xdp.cc), and
// one list of them (device_kinds.cc).
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
inline constexpr uint32_t kLeastRoom = 2048;        // of a buffer

// The kernel's interface through which it reaches the network of such a port.
enum class KernelInterface : uint8_t {
  kNone,
  kTarget,    // the device's target: it exists before the port, whose MTU is its own
  kOfDriver,  // the one that DPDK's driver names, if it does
};

// What DPDK's arguments for a device depend on besides the device itself.
struct DeviceUse {
  uint32_t queue_count = 1;
  uint32_t frame_bytes = 0;  // of the largest Ethernet frame that the port must carry
  std::string program = {};  // what `prepare` returned
};

struct DeviceKind {
  std::string_view form;  // how it is written, for messages: "af_xdp:IF"
  std::string_view word;  // before the colon of WORD:REST; the whole text where `parse` is null
  // In place of `word`: whether the whole text is of this kind; then it is what `parse` gets.
  bool (*matches)(std::string_view text) = nullptr;
  Status (*parse)(std::string_view rest, DeviceSpec* spec) = nullptr;

  // Two ports with equal claims want the same thing. Null: may be used any number of times.
  std::string (*claim)(const DeviceSpec& spec) = nullptr;
  // The target is the name of a kernel interface that the port stands for.
  bool is_interface = false;
  KernelInterface kernel_interface = KernelInterface::kNone;

  // DPDK's name is this and the port's number. Empty: EAL makes the device, whose name is the target.
  std::string_view vdev_prefix = {};
  std::string (*vdev_arguments)(const DeviceSpec& spec, const DeviceUse& use) = nullptr;
  bool is_pci = false;       // EAL looks for it on the PCI bus, and is told to by --allow
  bool sets_mtu = false;     // the port's MTU is set on the device
  uint16_t max_mtu = 65535;  // of every port beside it
  // Shares its NIC with the kernel by a steering program (frontend_steering.h).
  bool is_steered = false;
  // What must hold before DPDK may have the device; what it returns goes to `vdev_arguments`. `port`: its
  // name, for messages. Null: nothing.
  Result<std::string> (*prepare)(const DeviceSpec& spec, const std::string& port,
                                 uint32_t queue_count) = nullptr;
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

// In the order in which messages list them.
std::span<const DeviceKind* const> DeviceKinds();

}  // namespace fairlead
