// Constants of health probes through the dataplane, which both programs know.
//
// A probe is a socket of the control plane, connected to a frontend's address. Its packets have a
// mark. A policy rule of the kernel leads them into a TUN interface that the dataplane reads. The
// source port tells the dataplane for which backend a packet is (OpenProbesMessage). The dataplane
// rewrites it like a client's packet to that backend. The backend's answer comes back as any packet
// to an address of this host.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fairlead {

// Source ports of probes. Above the kernel's default range for clients (32768-60999), so no other
// socket of this host gets them by chance.
inline constexpr uint16_t kFirstProbePort = 61000;
inline constexpr size_t kProbePorts = 4096;  // also the most probes at once
inline constexpr uint16_t kLastProbePort = kFirstProbePort + kProbePorts - 1;
static_assert(kFirstProbePort + kProbePorts <= 65536);

// "FLPR". The mark of probes' packets.
inline constexpr uint32_t kProbeMark = 0x464c5052;

}  // namespace fairlead
