#include "lib/intent/nat_rules.h"

#include <string>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lib/intent/json.h"

namespace fairlead {
namespace {

// True when an exact name and the any-port name of the same backend lead to the same place: the
// frontend's address and, since any-port frontends keep ports, an untranslated port.
bool Agree(uint16_t backend_port, const Frontend& exact, const Frontend& any) {
  return exact.address == any.address && exact.port == backend_port;
}

}  // namespace

size_t NatRules::HashName::operator()(const Name& name) const {
  const uint64_t seed = uint64_t{name.port} << 8 | static_cast<uint8_t>(name.protocol);
  return XXH3_64bits_withSeed(name.address.bytes().data(), name.address.bytes().size(), seed);
}

const NatRules::Owner* NatRules::FindRival(const Name& name, const Frontend& frontend) const {
  if (const auto same = names_.find(name); same != names_.end()) return &same->second;
  const Name all{name.address, name.protocol, 0};
  if (name.port != 0) {
    const auto any = names_.find(all);
    const bool agree = any == names_.end() || Agree(name.port, frontend, *any->second.frontend);
    return agree ? nullptr : &any->second;
  }
  const auto [begin, end] = with_port_.equal_range(all);
  for (auto it = begin; it != end; ++it) {
    const Owner& owner = names_.at({name.address, name.protocol, it->second});
    if (!Agree(it->second, *owner.frontend, frontend)) return &owner;
  }
  return nullptr;
}

Status NatRules::AddPair(const ServiceSpec& service, const Frontend& frontend,
                         const Endpoint& backend, const std::string& path) {
  if (frontend.address.family() != backend.address.family()) {
    return InvalidArgument(path + ".address: " + backend.address.ToString() +
                           " is not of frontend " + frontend.ToString() +
                           "'s family, which nat cannot translate; make two services");
  }
  if (frontend.port == 0 && backend.port != 0) {
    return InvalidArgument(path + ".port: " + std::to_string(backend.port) + " for frontend " +
                           frontend.ToString() +
                           ", which is for any port: replies could not be told apart; leave the "
                           "port out");
  }
  const Name name{backend.address, frontend.protocol,
                  backend.port != 0 ? backend.port : frontend.port};
  if (const Owner* rival = FindRival(name, frontend)) {
    const std::string message =
        path + ": replies from " + Endpoint{name.address, name.port}.ToString() + "/" +
        std::string(ProtocolName(name.protocol)) + " would belong to frontend " +
        frontend.ToString() + " as well as to " + rival->frontend->ToString() + " of service " +
        rival->service->name + ": with nat a backend's port serves one frontend";
    return rival->service == &service ? InvalidArgument(message) : AlreadyExists(message);
  }
  if (names_.size() == kMaxNatNames) {
    return InvalidArgument(path + ": nat services have more than " + std::to_string(kMaxNatNames) +
                           " pairs of frontend and backend in all");
  }
  names_.emplace(name, Owner{&service, &frontend});
  if (name.port != 0) with_port_.emplace(Name{name.address, name.protocol, 0}, name.port);
  return {};
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
