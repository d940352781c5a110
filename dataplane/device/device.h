// What a port's `device` may be, and what DPDK calls it.
//
//   0000:3b:00.0                        PCI address of a NIC that a poll-mode driver takes
//   af_xdp:IF      af_packet:IF         a kernel interface
//   tap:NAME                            a new kernel interface NAME, whose other end the port is
//   memif:PATH[,role=server|client,id=N]  shared memory with another process
//   pcap:IN,OUT                         reads one file to its end, writes another; either may be
//                                       empty
//   null                                receives nothing, swallows what is sent
//   ring                                what is sent comes back in (loop of rings)
//   vdev:NAME                           a device that EAL arguments have made (--vdev NAME,...)
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
  uint32_t ring =
      0;  // memif: entries a ring, a power of two; 0 = DPDK's 1,024. The client's counts.

  // The kernel has an interface of this name that the port stands for ("" = it has none).
  std::string interface() const;
  // As DeviceKind::claim; "" = may be used any number of times.
  std::string claim() const;
};

Result<DeviceSpec> ParseDevice(std::string_view text);

// DPDK's name of the port's device, and its arguments where it is made at run time.
std::string VdevName(const DeviceSpec& device, uint32_t port_index);
std::string VdevArguments(const DeviceSpec& device, const DeviceUse& use);

}  // namespace fairlead
