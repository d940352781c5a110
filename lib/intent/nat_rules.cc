#include "lib/intent/nat_rules.h"

#include <string>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lib/intent/json.h"

namespace fairlead {
namespace {

bool IsWide(const Frontend& frontend) { return frontend.is_any_port() || frontend.is_range(); }

// True when an exact name and a wide one of the same backend lead to the same place: the frontend's
// address and, since wide frontends keep ports, an untranslated port.
bool Agree(uint16_t backend_port, const Frontend& exact, const Frontend& wide) {
  return exact.address == wide.address && exact.port == backend_port;
}

}  // namespace

size_t NatRules::HashName::operator()(const Name& name) const {
  const uint64_t seed = uint64_t{name.port} << 8 | static_cast<uint8_t>(name.protocol);
  return XXH3_64bits_withSeed(name.address.bytes().data(), name.address.bytes().size(), seed);
}

std::optional<NatRules::Rival> NatRules::AddExact(const Name& name, const Owner& owner) {
  if (const auto same = names_.find(name); same != names_.end()) {
    return Rival{same->second, name.port};
  }
  const Name all{name.address, name.protocol, 0};
  if (const auto wide = wide_.find(all); wide != wide_.end()) {
    const Owner* other = wide->second.Find(name.port);
    if (other != nullptr && !Agree(name.port, *owner.frontend, *other->frontend)) {
      return Rival{*other, name.port};
    }
  }
  names_.emplace(name, owner);
  with_port_.emplace(all, name.port);
  return std::nullopt;
}

std::optional<NatRules::Rival> NatRules::AddWide(const Name& all, const Owner& owner) {
  const Frontend& frontend = *owner.frontend;
  const auto [begin, end] = with_port_.equal_range(all);
  for (auto it = begin; it != end; ++it) {
    const uint16_t port = it->second;
    if (!frontend.HasPort(port)) continue;
    const Owner& other = names_.at({all.address, all.protocol, port});
    if (!Agree(port, *other.frontend, frontend)) return Rival{other, port};
  }
  const uint16_t first = frontend.is_any_port() ? uint16_t{1} : frontend.port;
  const uint16_t last = frontend.is_any_port() ? uint16_t{UINT16_MAX} : frontend.last_port;
  const auto conflict = wide_[all].Add(first, last, owner, [](const Owner& a, const Owner& b) {
    return a.frontend->address == b.frontend->address;
  });
  if (!conflict) return std::nullopt;
  return Rival{conflict->owner, conflict->port};
}

Status NatRules::AddPair(const ServiceSpec& service, const Frontend& frontend,
                         const Endpoint& backend, const std::string& path) {
  if (frontend.address.family() != backend.address.family()) {
    return InvalidArgument(path + ".address: " + backend.address.ToString() +
                           " is not of frontend " + frontend.ToString() +
                           "'s family, which nat cannot translate; make two services");
  }
  if (IsWide(frontend) && backend.port != 0) {
    return InvalidArgument(path + ".port: " + std::to_string(backend.port) + " for frontend " +
                           frontend.ToString() + ", which is for " +
                           (frontend.is_any_port() ? "any port" : "a range of ports") +
                           ": replies could not be told apart; leave the port out");
  }
  if (pairs_ == kMaxNatNames) {
    return InvalidArgument(path + ": nat services have more than " + std::to_string(kMaxNatNames) +
                           " pairs of frontend and backend in all");
  }
  ++pairs_;
  const Owner owner{&service, &frontend};
  const uint16_t port = backend.port != 0 ? backend.port : frontend.port;
  const std::optional<Rival> rival =
      IsWide(frontend) ? AddWide({backend.address, frontend.protocol, 0}, owner)
                       : AddExact({backend.address, frontend.protocol, port}, owner);
  if (!rival) return {};
  const std::string message =
      path + ": replies from " + Endpoint{backend.address, rival->port}.ToString() + "/" +
      std::string(ProtocolName(frontend.protocol)) + " would belong to frontend " +
      frontend.ToString() + " as well as to " + rival->owner.frontend->ToString() + " of service " +
      rival->owner.service->name + ": with nat a backend's port serves one frontend";
  return rival->owner.service == &service ? InvalidArgument(message) : AlreadyExists(message);
}

Status NatRules::AddService(const ServiceSpec& service, std::string_view path) {
  if (service.forwarding != ForwardingMode::kNat) return {};
  for (size_t i = 0; i < service.backends.size(); ++i) {
    const std::string at = std::string(path) + "backends[" + std::to_string(i) + "]";
    for (const Frontend& frontend : service.frontends) {
      RETURN_IF_ERROR(AddPair(service, frontend, service.backends[i].endpoint, at));
    }
  }
  return {};
}

}  // namespace fairlead
