// How packets leave: the dataplane's ports as the tables see them, and what a backend's packets have
// in front of them on the way. Management thread.
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

inline constexpr uint16_t kIngressPort = 0xffff;  // leave by the port it came in on

// What the dataplane knows of its ports when it builds tables; index = position.
struct EgressPort {
  std::string interface;  // kernel name, or the port's name where the kernel has none
  MacAddress mac;
  uint16_t mtu = 1500;
  std::vector<IpAddress> addresses = {};   // its own
  std::vector<Prefix> ipip_sources = {};   // at most one of a family
  std::optional<MacAddress> gateway = {};  // towards clients: where nat's replies go
};

// Bytes that the mode adds in front of a packet to this backend.
uint32_t OverheadOf(const ServiceRecord& service, const BackendRecord& backend);

// How a backend is reached: `egress_port` is an index into the ports, or kIngressPort.
struct Departure {
  const SnapshotView& snapshot;
  const ServiceRecord& service;
  const BackendRecord& backend;
  uint16_t egress_port;
  std::span<const EgressPort> ports;
};

// The tunnel to the backend, of a service whose mode is one. The source is its port's address of
// the backend's family, or the port's ipip_source; for kIngressPort that of the first port which
// has one. `tunnel` is filled for kNo only.
LeftOut MakeBackendTunnel(const Departure& departure, TunnelTemplate* tunnel);

// k_mtu_too_small when clients of a frontend of that family could be told no legal MTU (RFC 8200:
// 1280) for what goes to the backend: by its egress port, or by any if that is kIngressPort.
LeftOut CheckBackendMtu(const Departure& departure, Family client);

// What ModeDescriptor::translates_replies needs of each family.
bool HasOwnAddress(Family family, std::span<const EgressPort> ports);

// For people: "service web: backend 10.0.0.11: port lan has no IPv4 address for the tunnel to come
// from; ...". REQUIRES a backend that is left out for `reason`.
std::string DescribeLeftOut(LeftOut reason, const Departure& departure);

}  // namespace fairlead
