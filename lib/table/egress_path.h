// How packets leave: the dataplane's ports as the tables use them, and the headers that a backend's
// packets get. Management thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/counters/left_out.h"
#include "lib/encap/tunnel.h"
#include "lib/net/address.h"
#include "lib/snapshot/view.h"

namespace fairlead {

inline constexpr uint16_t kIngressPort = 0xffff;  // the packet leaves by the port it arrived on

// What the dataplane knows of a port when it builds tables. The port's index is its position.
struct EgressPort {
  std::string interface;  // kernel name; the port's name if the kernel has no such interface
  MacAddress mac;
  uint16_t mtu = 1500;
  std::vector<IpAddress> addresses = {};   // its own
  std::vector<Prefix> ipip_sources = {};   // at most one for each family
  std::optional<MacAddress> gateway = {};  // towards clients: where nat's replies go
};

// The largest number of bytes that the mode adds in front of a packet to this backend.
uint32_t OverheadOf(const ServiceRecord& service, const BackendRecord& backend);

// How a backend is reached: `egress_port` is an index into the ports, or kIngressPort.
struct EgressPath {
  const SnapshotView& snapshot;
  const ServiceRecord& service;
  const BackendRecord& backend;
  uint16_t egress_port;
  std::span<const EgressPort> ports;
};

// Makes the tunnel to the backend. REQUIRES a service whose mode is a tunnel. The source is the
// egress port's address of the backend's family, or the port's ipip_source. For kIngressPort it is
// that of the first port which has one. `tunnel` is filled only if the result is kNo.
LeftOut MakeBackendTunnel(const EgressPath& departure, TunnelTemplate* tunnel);

// k_mtu_too_small if the path MTU to the backend is below the minimum for clients of that family
// (IPv6: 1280, RFC 8200). Checks its egress port, or all ports if that is kIngressPort.
LeftOut CheckBackendMtu(const EgressPath& departure, Family client);

// True if some port has an address of that family, as ModeDescriptor::translates_replies needs.
bool HasOwnAddress(Family family, std::span<const EgressPort> ports);

// For the log: "service web: backend 10.0.0.11: port lan has no IPv4 address for the tunnel's
// source; ...". REQUIRES a backend that is left out for `reason`.
std::string DescribeLeftOut(LeftOut reason, const EgressPath& departure);

}  // namespace fairlead
