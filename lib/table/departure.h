// How packets leave: the dataplane's ports as the tables see them, and what a backend's packets have
// in front of them on the way. Management thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/base/result.h"
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

// The tunnel of an ipip or gue service to `backend`, which is reached by `egress_port` (an index, or
// kIngressPort). The source is that port's address of the backend's family, or its ipip_source; for
// kIngressPort that of the first port which has one. kInvalidArgument when there is none.
Result<TunnelTemplate> MakeBackendTunnel(const SnapshotView& snapshot, const ServiceRecord& service,
                                         const BackendRecord& backend, uint16_t egress_port,
                                         std::span<const EgressPort> ports);

// Fails when clients of this frontend's family could be told no legal MTU (RFC 8200: 1280) for what
// goes to `backend`: by its egress port, or by any if that is kIngressPort.
Status CheckBackendMtu(const SnapshotView& snapshot, const ServiceRecord& service,
                       const BackendRecord& backend, Family client, uint16_t egress_port,
                       std::span<const EgressPort> ports);

// nat must know the balancer's own address of each family that it translates: fails when no port
// has one.
Status CheckOwnAddress(const SnapshotView& snapshot, const ServiceRecord& service, Family family,
                       std::span<const EgressPort> ports);

}  // namespace fairlead
