// What nat needs beyond the rules of all modes: its reverse direction has no per-flow state, so a
// reply must tell by itself which frontend it belongs to.
//
//   (backend address, backend port, protocol) names exactly one frontend, in a service as between
//   services. A backend without a port has each frontend's; an any-port frontend lends it all ports
//   of the protocol, and then nobody else may lend it another frontend's.
//   Frontends and backends are of one family.
//
// Worked example: frontends 203.0.113.10:80/tcp and :443/tcp, backend 10.0.0.11 without a port: two
// names, 10.0.0.11:80 and :443. With port 8080 both would be 10.0.0.11:8080: refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "lib/intent/model.h"

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
    uint16_t port = 0;  // 0: all of the protocol
    friend bool operator==(const Name&, const Name&) = default;
  };
  struct HashName {
    size_t operator()(const Name& name) const;
  };
  struct Owner {
    const ServiceSpec* service;
    const Frontend* frontend;
  };

  Status AddPair(const ServiceSpec& service, const Frontend& frontend, const Endpoint& backend,
                 const std::string& path);
  // Who else has the name, or an any-port name that covers it and leads to another frontend.
  const Owner* FindRival(const Name& name, const Frontend& frontend) const;

  std::unordered_map<Name, Owner, HashName> names_;
  // The ports that an (address, protocol) has names for; port 0 in the key.
  std::unordered_multimap<Name, uint16_t, HashName> with_port_;
};

}  // namespace fairlead
