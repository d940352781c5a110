// The forwarding modes and flags of services, as in snapshots.
#pragma once

#include <cstdint>

namespace fairlead {

// kDsr = 0, kIpip = 1, ...
enum class ForwardingMode : uint8_t {
#define FAIRLEAD_MODE(Name, number) k##Name = number,
#include "lib/mode/modes.def"
#undef FAIRLEAD_MODE
};

// Flags of a service. Other bits are refused. ModeDescriptor::flags tells which mode allows which.
enum ServiceFlags : uint32_t {
  kServiceMssClamp = 1,      // nat: lower the MSS of SYN and SYN-ACK to what the ports' MTUs allow
  kServiceGueChecksum = 2,   // gue: outer UDP checksum, else zero
  kServiceDropTooBig = 4,    // IPv4 without DF larger than the MTU: drop, else cut
  kServiceSecondChance = 8,  // gue: candidate lists (docs/second-chance.md)
  kServiceResetNoBackend = 16,  // no usable backend: refuse the client (TCP reset, ICMP), else drop
  kServiceFollowHandshakes = 32,  // follow one TCP handshake in 64 (handshake_table.h)
};

}  // namespace fairlead
