// What nat needs beyond the rules of all modes: its reverse direction has no per-flow state, so a
// reply must tell by itself which frontend it belongs to.
//
//   (backend address, backend port, protocol) names exactly one frontend, in a service as between
//   services. A backend without a port has each frontend's; a port range lends it all of its ports,
//   and then nobody else may lend it another frontend's. The same goes for any-port frontends, which
//   stored services may have (new ones are refused, see ValidateNewService in model.h).
//   Frontends and backends are of one family.
//
// Worked example: frontends 203.0.113.10:80/tcp and :443/tcp, backend 10.0.0.11 without a port: two
// names, 10.0.0.11:80 and :443. With port 8080 both would be 10.0.0.11:8080: refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "lib/intent/model.h"
#include "lib/net/port_claims.h"

namespace fairlead {

// Of the intent and of the dataplane's table (lib/table/nat_table.h).
inline constexpr size_t kMaxNatNames = size_t{1} << 20;

class NatRules {
 public:
  // Judges `service`, if it is nat, against itself and those added before; keeps pointers to it.
  // Messages begin with `path`. kAlreadyExists when another service has the name, else
  // kInvalidArgument.
  Status AddService(const ServiceSpec& service, std::string_view path);

 private:
  struct Name {
    IpAddress address;
    Protocol protocol = Protocol::kTcp;
    uint16_t port = 0;  // 0: the protocol as a whole
    friend bool operator==(const Name&, const Name&) = default;
  };
  struct HashName {
    size_t operator()(const Name& name) const;
  };
  struct Owner {
    const ServiceSpec* service;
    const Frontend* frontend;
  };

  struct Rival {  // somebody who holds a port that two would have
    Owner owner;
    uint16_t port;
  };

  Status AddPair(const ServiceSpec& service, const Frontend& frontend, const Endpoint& backend,
                 const std::string& path);
  // Of a frontend with one port, and of one with several. No value: the name is the owner's now.
  std::optional<Rival> AddExact(const Name& name, const Owner& owner);
  std::optional<Rival> AddWide(const Name& all, const Owner& owner);

  size_t pairs_ = 0;
  std::unordered_map<Name, Owner, HashName> names_;  // exact ones
  // The ports that an (address, protocol) has exact names for, and the ranges; port 0 in the key.
  std::unordered_multimap<Name, uint16_t, HashName> with_port_;
  std::unordered_map<Name, PortClaims<Owner>, HashName> wide_;
};

}  // namespace fairlead
