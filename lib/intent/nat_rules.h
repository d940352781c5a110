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
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"
#include "lib/net/address.h"
#include "lib/net/port_claims.h"

namespace fairlead {

// Of the intent and of the dataplane's table (lib/table/nat_table.h).
inline constexpr size_t kMaxNatNames = size_t{1} << 20;

// What the rules need to know of a nat service beside its backends.
struct NatService {
  std::string name;
  std::vector<Frontend> frontends;
};

class NatRules {
 public:
  // Judges a backend of `service` against all that were added before, and keeps a pointer to the
  // service until the backend is removed. On failure nothing is kept. Messages begin with `path`.
  // kAlreadyExists when another service has the name, else kInvalidArgument.
  Status AddBackend(const NatService& service, const Endpoint& backend, const std::string& path);
  // REQUIRES that it was added, with the same service.
  void RemoveBackend(const NatService& service, const Endpoint& backend);

 private:
  struct Name {
    IpAddress address;
    Protocol protocol = Protocol::kTcp;
    uint16_t port = 0;  // 0: the protocol as a whole
    friend auto operator<=>(const Name&, const Name&) = default;
  };
  struct Owner {
    const NatService* service;
    const Frontend* frontend;
    friend bool operator==(const Owner&, const Owner&) = default;
  };
  struct WideNames {  // any-port frontends and ranges
    std::vector<Owner> owners;
    PortClaims<Owner> claims;  // of all of them
  };
  struct Rival {  // somebody who holds a port that two would have
    Owner owner;
    uint16_t port;
  };

  Status AddPair(const NatService& service, const Frontend& frontend, const Endpoint& backend,
                 const std::string& path);
  void RemovePair(const NatService& service, const Frontend& frontend, const Endpoint& backend);
  // Of a frontend with one port, and of one with several. No value: the name is the owner's now.
  std::optional<Rival> AddExact(const Name& name, const Owner& owner);
  std::optional<Rival> AddWide(const Name& all, const Owner& owner);

  size_t pairs_ = 0;
  std::map<Name, Owner> names_;     // exact ones
  std::map<Name, WideNames> wide_;  // port 0 in the key
};

}  // namespace fairlead
