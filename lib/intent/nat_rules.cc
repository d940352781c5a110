#include "lib/intent/nat_rules.h"

#include <algorithm>

#include "lib/base/check.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

bool IsWide(const Frontend& frontend) { return frontend.is_any_port() || frontend.is_range(); }

// True if an exact and a wide frontend translate replies from this backend port to the same address
// and port. A wide frontend keeps the port, so the exact one must not translate it.
bool Agree(uint16_t backend_port, const Frontend& exact, const Frontend& wide) {
  return exact.address == wide.address && exact.port == backend_port;
}

// The first and last port of a wide frontend.
std::pair<uint16_t, uint16_t> PortsOf(const Frontend& wide) {
  if (wide.is_any_port()) return {uint16_t{1}, uint16_t{UINT16_MAX}};
  return {wide.port, wide.last_port};
}

uint16_t ExactPort(const Frontend& frontend, const Endpoint& backend) {
  return backend.port != 0 ? backend.port : frontend.port;
}

}  // namespace

std::optional<NatRules::Conflict> NatRules::AddExact(const Name& name, const Claimant& owner) {
  if (const auto same = names_.find(name); same != names_.end()) {
    return Conflict{same->second, name.port};
  }
  if (const auto wide = wide_.find({name.address, name.protocol, 0}); wide != wide_.end()) {
    const Claimant* other = wide->second.claims.Find(name.port);
    if (other != nullptr && !Agree(name.port, *owner.frontend, *other->frontend)) {
      return Conflict{*other, name.port};
    }
  }
  names_.emplace(name, owner);
  return std::nullopt;
}

std::optional<NatRules::Conflict> NatRules::AddWide(const Name& all, const Claimant& owner) {
  const Frontend& frontend = *owner.frontend;
  const auto [first, last] = PortsOf(frontend);
  const auto end = names_.upper_bound({all.address, all.protocol, last});
  for (auto it = names_.lower_bound({all.address, all.protocol, first}); it != end; ++it) {
    const auto& [name, other] = *it;
    if (!Agree(name.port, *other.frontend, frontend)) return Conflict{other, name.port};
  }
  const auto lead_to_same = [](const Claimant& a, const Claimant& b) {
    return a.frontend->address == b.frontend->address;
  };
  const auto wide = wide_.try_emplace(all).first;
  wide->second.owners.push_back(owner);
  const auto conflict = wide->second.claims.Add(first, last, owner, lead_to_same);
  if (!conflict) return std::nullopt;
  wide->second.owners.pop_back();
  return Conflict{conflict->owner, conflict->port};
}

Status NatRules::AddPair(const NatService& service, const Frontend& frontend,
                         const Endpoint& backend, const std::string& path) {
  if (frontend.address.family() != backend.address.family()) {
    return InvalidArgument(path + ".address: " + backend.address.ToString() + " and frontend " +
                           frontend.ToString() +
                           " differ in family, which nat cannot translate; make two services");
  }
  if (IsWide(frontend) && backend.port != 0) {
    return InvalidArgument(path + ".port: " + std::to_string(backend.port) + " for frontend " +
                           frontend.ToString() + ", which is for " +
                           (frontend.is_any_port() ? "any port" : "a range of ports") +
                           ": replies would be ambiguous; remove the port");
  }
  if (pairs_ == kMaxNatPairs) {
    return InvalidArgument(path + ": nat services have more than " + std::to_string(kMaxNatPairs) +
                           " pairs of frontend and backend in all");
  }
  const Claimant owner{&service, &frontend};
  const uint16_t port = ExactPort(frontend, backend);
  const std::optional<Conflict> conflict =
      IsWide(frontend) ? AddWide({backend.address, frontend.protocol, 0}, owner)
                       : AddExact({backend.address, frontend.protocol, port}, owner);
  if (!conflict) {
    ++pairs_;
    return {};
  }
  const std::string message =
      path + ": replies from " + Endpoint{backend.address, conflict->port}.ToString() + "/" +
      std::string(ProtocolName(frontend.protocol)) + " would belong to frontend " +
      frontend.ToString() + " as well as to " + conflict->owner.frontend->ToString() +
      " of service " + conflict->owner.service->name +
      ": with nat a backend's port can serve only one frontend";
  return conflict->owner.service == &service ? InvalidArgument(message) : AlreadyExists(message);
}

void NatRules::RemovePair(const NatService& service, const Frontend& frontend,
                          const Endpoint& backend) {
  --pairs_;
  const Claimant owner{&service, &frontend};
  if (!IsWide(frontend)) {
    names_.erase({backend.address, frontend.protocol, ExactPort(frontend, backend)});
    return;
  }
  const auto wide = wide_.find({backend.address, frontend.protocol, 0});
  CHECK(wide != wide_.end());
  std::vector<Claimant>& owners = wide->second.owners;
  owners.erase(std::ranges::find(owners, owner));
  if (owners.empty()) {
    wide_.erase(wide);
    return;
  }
  // Claims with the same target are merged, so the claims of the remaining owners are made anew.
  wide->second.claims = {};
  for (const Claimant& rest : owners) {
    const auto [first, last] = PortsOf(*rest.frontend);
    wide->second.claims.Add(first, last, rest,
                            [](const Claimant&, const Claimant&) { return true; });
  }
}

Status NatRules::AddBackend(const NatService& service, const Endpoint& backend,
                            const std::string& path) {
  for (size_t i = 0; i < service.frontends.size(); ++i) {
    Status added = AddPair(service, service.frontends[i], backend, path);
    if (added.ok()) continue;
    while (i > 0) RemovePair(service, service.frontends[--i], backend);
    return added;
  }
  return {};
}

void NatRules::RemoveBackend(const NatService& service, const Endpoint& backend) {
  for (const Frontend& frontend : service.frontends) RemovePair(service, frontend, backend);
}

}  // namespace fairlead
