#include "lib/table/egress_path.h"

#include <algorithm>
#include <cstring>

#include "lib/net/icmp_generate.h"

namespace fairlead {
namespace {

std::string_view FamilyName(Family family) { return family == Family::kIpv4 ? "IPv4" : "IPv6"; }

const IpAddress* AddressOfFamily(const EgressPort& port, Family family) {
  const auto found =
      std::find_if(port.addresses.begin(), port.addresses.end(),
                   [&](const IpAddress& address) { return address.family() == family; });
  return found == port.addresses.end() ? nullptr : &*found;
}

bool SetSource(const EgressPort& port, bool spreads_source, TunnelSettings* settings) {
  const Family family = settings->destination.family();
  if (spreads_source) {
    for (const Prefix& prefix : port.ipip_sources) {
      if (prefix.address.family() != family) continue;
      settings->source = prefix.address;
      settings->source_prefix_bits = prefix.bits;
      return true;
    }
  }
  const IpAddress* address = AddressOfFamily(port, family);
  if (address != nullptr) settings->source = *address;
  return address != nullptr;
}

// The ports that the backend's packets may leave by.
std::span<const EgressPort> PortsOf(const EgressPath& departure) {
  return departure.egress_port == kIngressPort ? departure.ports
                                               : departure.ports.subspan(departure.egress_port, 1);
}

Result<TunnelTemplate> TunnelOf(const EgressPath& departure, bool* has_source) {
  const ModeDescriptor& mode = ModeOf(departure.service);
  TunnelSettings settings;
  settings.destination = AddressOf(departure.backend);
  settings.gue_port = departure.service.gue_port;
  const auto ports = PortsOf(departure);
  *has_source = std::any_of(ports.begin(), ports.end(), [&](const EgressPort& port) {
    return SetSource(port, mode.spreads_source, &settings);
  });
  if (!*has_source) return InvalidArgument("no source");
  return mode.make_template(settings);
}

std::string DescribeNoSource(const EgressPath& departure) {
  const bool any = departure.egress_port == kIngressPort;
  return (any ? "no port has an "
              : "port " + departure.ports[departure.egress_port].interface + " has no ") +
         std::string(FamilyName(static_cast<Family>(departure.backend.family))) +
         " address for the tunnel's source; add one to the port's addresses in dataplane.yaml";
}

std::string DescribeMtu(const EgressPath& departure) {
  for (const Family client : {Family::kIpv4, Family::kIpv6}) {
    if (CheckBackendMtu(departure, client) == LeftOut::kNo) continue;
    for (const EgressPort& port : PortsOf(departure)) {
      const Status status =
          CheckPathMtu(port.mtu, OverheadOf(departure.service, departure.backend), client);
      if (!status.ok()) return "port " + port.interface + ": " + status.message();
    }
  }
  return std::string(LeftOutText(LeftOut::k_mtu_too_small));
}

std::string DescribeInterface(const EgressPath& departure) {
  const char* name = departure.snapshot.next_hops()[departure.backend.next_hop_index].interface;
  return "next hop's interface '" +
         std::string(name, strnlen(name, sizeof(NextHopRecord::interface))) +
         "' is not a port of this dataplane; route to the backend through a port, or add the "
         "interface to the ports in dataplane.yaml";
}

}  // namespace

uint32_t OverheadOf(const ServiceRecord& service, const BackendRecord& backend) {
  return ModeOf(service).OverheadOf(static_cast<Family>(backend.family), service.flags);
}

LeftOut MakeBackendTunnel(const EgressPath& departure, TunnelTemplate* tunnel) {
  bool has_source = false;
  Result<TunnelTemplate> made = TunnelOf(departure, &has_source);
  if (!has_source) return LeftOut::k_no_tunnel_source;
  if (!made.ok()) return LeftOut::k_tunnel_impossible;
  *tunnel = *std::move(made);
  return LeftOut::kNo;
}

LeftOut CheckBackendMtu(const EgressPath& departure, Family client) {
  const uint32_t overhead = OverheadOf(departure.service, departure.backend);
  for (const EgressPort& port : PortsOf(departure)) {
    if (!CheckPathMtu(port.mtu, overhead, client).ok()) return LeftOut::k_mtu_too_small;
  }
  return LeftOut::kNo;
}

bool HasOwnAddress(Family family, std::span<const EgressPort> ports) {
  return std::any_of(ports.begin(), ports.end(), [&](const EgressPort& port) {
    return AddressOfFamily(port, family) != nullptr;
  });
}

std::string DescribeLeftOut(LeftOut reason, const EgressPath& departure) {
  bool has_source = false;
  std::string why(LeftOutText(reason));
  switch (reason) {
    case LeftOut::k_interface_no_port:
      why = DescribeInterface(departure);
      break;
    case LeftOut::k_no_tunnel_source:
      why = DescribeNoSource(departure);
      break;
    case LeftOut::k_tunnel_impossible:
      why = TunnelOf(departure, &has_source).status().message();
      break;
    case LeftOut::k_mtu_too_small:
      why = DescribeMtu(departure);
      break;
    case LeftOut::k_no_own_address:
      why = std::string(ModeOf(departure.service).name) + " needs an own " +
            std::string(FamilyName(static_cast<Family>(departure.backend.family))) +
            " address of the balancer, to leave backends' packets to it untranslated; add one to a "
            "port's addresses in dataplane.yaml";
      break;
    case LeftOut::kNo:
    case LeftOut::k_behind_gateway:
    case LeftOut::k_unknown:
    case LeftOut::kCount:
      break;
  }
  return "service " + std::string(departure.snapshot.name_of(departure.service)) + ": backend " +
         AddressOf(departure.backend).ToString() + ": " + why;
}

}  // namespace fairlead
