// The syntax of a port's `device`, and DPDK's name for the device.
//
//   0000:3b:00.0                        PCI address of a NIC with a poll-mode driver
//   af_xdp:IF      af_packet:IF         a kernel interface
//   tap:NAME                            a new kernel interface NAME; the port is its other end
//   memif:PATH[,role=server|client,id=N]  shared memory with another process
//   pcap:IN,OUT                         reads one file to its end, writes another; either may be
//                                       empty
//   null                                receives nothing, discards what is sent
//   ring                                receives what it sends (loop of rings)
//   vdev:NAME                           a device created by EAL arguments (--vdev NAME,...)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/device/device_kind.h"
#include "lib/base/result.h"

namespace fairlead {

struct DeviceSpec {
  const DeviceKind* kind = &kNullDevice;
  std::string text;       // as written
  std::string target;     // PCI address, interface, socket path, file to read, device name
  std::string output;     // pcap: file to write
  bool is_server = true;  // memif
  uint32_t id = 0;        // memif
  // memif: entries per ring, a power of two; 0 = DPDK's 1,024. The client's value takes effect.
  uint32_t ring = 0;

  // The kernel interface that the port stands for; "" = none.
  std::string interface() const;
  // As DeviceKind::claim; "" = any number of ports may use the device.
  std::string claim() const;
};

Result<DeviceSpec> ParseDevice(std::string_view text);

// DPDK's name of the port's device, and its arguments if it is created at run time.
std::string VdevName(const DeviceSpec& device, uint32_t port_index);
std::string VdevArguments(const DeviceSpec& device, const DeviceUse& use);

}  // namespace fairlead
