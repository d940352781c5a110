// The rules of nat in addition to those of all modes. Its reverse direction has no per-flow state,
// so the source of a reply must determine the frontend that it belongs to.
//
//   A *name* is (backend address, backend port, protocol). Each name belongs to exactly one
//   frontend, within a service and between services. A backend without a port has the ports of all
//   its frontends, and all ports of a range. A range or an any-port frontend may share a backend's
//   port with another frontend only if both translate replies to the same address and port. Stored
//   services may have any-port frontends (ValidateNewService in model.h refuses new ones).
//   Frontends and backends must be of one family.
//
// Worked example: frontends 203.0.113.10:80/tcp and :443/tcp, backend 10.0.0.11 without a port: two
// names, 10.0.0.11:80 and :443. With backend port 8080 both names would be 10.0.0.11:8080: refused.
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

// The limit of pairs of frontend and backend, in the intent and in lib/table/nat_table.h.
inline constexpr size_t kMaxNatPairs = size_t{1} << 20;

// What the rules need to know of a nat service, in addition to its backends.
struct NatService {
  std::string name;
  std::vector<Frontend> frontends;
};

class NatRules {
 public:
  // Checks a backend of `service` against all that were added before, and adds it. Keeps a pointer
  // to the service until the backend is removed. On failure nothing is added. Messages begin with
  // `path`. kAlreadyExists if another service has the name, else kInvalidArgument.
  Status AddBackend(const NatService& service, const Endpoint& backend, const std::string& path);
  // REQUIRES that it was added, with the same service.
  void RemoveBackend(const NatService& service, const Endpoint& backend);

 private:
  struct Name {
    IpAddress address;
    Protocol protocol = Protocol::kTcp;
    uint16_t port = 0;  // 0: all ports of the protocol
    friend auto operator<=>(const Name&, const Name&) = default;
  };
  struct Claimant {
    const NatService* service;
    const Frontend* frontend;
    friend bool operator==(const Claimant&, const Claimant&) = default;
  };
  struct WideNames {  // any-port frontends and ranges
    std::vector<Claimant> owners;
    PortClaims<Claimant> claims;  // the ports of all owners
  };
  struct Conflict {  // the owner of a port that another owner needs
    Claimant owner;
    uint16_t port;
  };

  Status AddPair(const NatService& service, const Frontend& frontend, const Endpoint& backend,
                 const std::string& path);
  void RemovePair(const NatService& service, const Frontend& frontend, const Endpoint& backend);
  // Add a name of a frontend with one port, or all names of a frontend with several. No value: the
  // name now belongs to `owner`.
  std::optional<Conflict> AddExact(const Name& name, const Claimant& owner);
  std::optional<Conflict> AddWide(const Name& all, const Claimant& owner);

  size_t pairs_ = 0;
  std::map<Name, Claimant> names_;  // of frontends with one port
  std::map<Name, WideNames> wide_;  // port 0 in the key
};

}  // namespace fairlead
