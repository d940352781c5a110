// How a service's packets get to their backends, and its flags, as snapshots hold them.
#pragma once

#include <cstdint>

namespace fairlead {

// kDsr = 0, kIpip = 1, ...
enum class ForwardingMode : uint8_t {
#define FAIRLEAD_MODE(Name, number) k##Name = number,
#include "lib/mode/modes.def"
#undef FAIRLEAD_MODE
};

// Per service; a bit that is not here is refused. Which mode allows which: ModeDescriptor::flags.
enum ServiceFlags : uint32_t {
  kServiceMssClamp = 1,      // nat: lower the MSS of SYN and SYN-ACK to what the ports' MTUs carry
  kServiceGueChecksum = 2,   // gue: outer UDP checksum, else zero
  kServiceDropTooBig = 4,    // IPv4 without DF larger than the MTU: drop, else cut
  kServiceSecondChance = 8,  // gue: lists of candidates (docs/second-chance.md)
  kServiceResetNoBackend = 16,  // without a backend: refuse the client (TCP reset, ICMP), else drop
};

}  // namespace fairlead
