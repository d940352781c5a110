#include "lib/table/departure.h"

#include <algorithm>

#include "lib/encap/candidate_list.h"
#include "lib/net/icmp_generate.h"

namespace fairlead {
namespace {

ForwardingMode ModeOf(const ServiceRecord& service) {
  return static_cast<ForwardingMode>(service.mode);
}

std::string_view FamilyName(Family family) { return family == Family::kIpv4 ? "IPv4" : "IPv6"; }

std::string Subject(const SnapshotView& snapshot, const ServiceRecord& service,
                    const BackendRecord& backend) {
  return "service " + std::string(snapshot.name_of(service)) + ": backend " +
         AddressOf(backend).ToString() + ": ";
}

const IpAddress* AddressOfFamily(const EgressPort& port, Family family) {
  const auto found =
      std::find_if(port.addresses.begin(), port.addresses.end(),
                   [&](const IpAddress& address) { return address.family() == family; });
  return found == port.addresses.end() ? nullptr : &*found;
}

bool SetSource(const EgressPort& port, TunnelSettings* settings) {
  const Family family = settings->destination.family();
  if (settings->kind == TunnelKind::kIpip) {
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

std::span<const EgressPort> Candidates(uint16_t egress_port, std::span<const EgressPort> ports) {
  return egress_port == kIngressPort ? ports : ports.subspan(egress_port, 1);
}

}  // namespace

uint32_t OverheadOf(const ServiceRecord& service, const BackendRecord& backend) {
  const auto family = static_cast<Family>(backend.family);
  switch (ModeOf(service)) {
    case ForwardingMode::kDsr:
    case ForwardingMode::kNat:
      break;
    case ForwardingMode::kIpip:
      return TunnelOverhead(TunnelKind::kIpip, family);
    case ForwardingMode::kGue:
      return TunnelOverhead(TunnelKind::kGue, family) +
             ((service.flags & kServiceSecondChance) != 0 ? CandidateRoom(family) : 0);
  }
  return 0;
}

Result<TunnelTemplate> MakeBackendTunnel(const SnapshotView& snapshot, const ServiceRecord& service,
                                         const BackendRecord& backend, uint16_t egress_port,
                                         std::span<const EgressPort> ports) {
  const bool is_gue = ModeOf(service) == ForwardingMode::kGue;
  TunnelSettings settings;
  settings.kind = is_gue ? TunnelKind::kGue : TunnelKind::kIpip;
  settings.destination = AddressOf(backend);
  if (is_gue) settings.gue_port = service.gue_port;
  const auto candidates = Candidates(egress_port, ports);
  const bool found = std::any_of(candidates.begin(), candidates.end(), [&](const EgressPort& port) {
    return SetSource(port, &settings);
  });
  if (!found) {
    const std::string where = egress_port == kIngressPort
                                  ? "no port has"
                                  : "port " + ports[egress_port].interface + " has no";
    return InvalidArgument(Subject(snapshot, service, backend) + where + " " +
                           (egress_port == kIngressPort ? "an " : "") +
                           std::string(FamilyName(settings.destination.family())) +
                           " address for the tunnel to come from; add one to the port's addresses "
                           "in dataplane.yaml");
  }
  Result<TunnelTemplate> tunnel = MakeTunnelTemplate(settings);
  if (tunnel.ok()) return tunnel;
  return InvalidArgument(Subject(snapshot, service, backend) + tunnel.status().message());
}

Status CheckBackendMtu(const SnapshotView& snapshot, const ServiceRecord& service,
                       const BackendRecord& backend, Family client, uint16_t egress_port,
                       std::span<const EgressPort> ports) {
  for (const EgressPort& port : Candidates(egress_port, ports)) {
    const Status status = CheckPathMtu(port.mtu, OverheadOf(service, backend), client);
    if (status.ok()) continue;
    return InvalidArgument(Subject(snapshot, service, backend) + "port " + port.interface + ": " +
                           status.message());
  }
  return {};
}

Status CheckOwnAddress(const SnapshotView& snapshot, const ServiceRecord& service, Family family,
                       std::span<const EgressPort> ports) {
  const bool found = std::any_of(ports.begin(), ports.end(), [&](const EgressPort& port) {
    return AddressOfFamily(port, family) != nullptr;
  });
  if (found) return {};
  return InvalidArgument("service " + std::string(snapshot.name_of(service)) +
                         ": nat needs to know the balancer's own " +
                         std::string(FamilyName(family)) +
                         " address, whose packets from backends it must not translate; add it to a "
                         "port's addresses in dataplane.yaml");
}

}  // namespace fairlead
