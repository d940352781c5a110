// A sample snapshot with every kind of record, for tests.
#pragma once

#include "lib/snapshot/builder.h"

namespace fairlead::testing {

inline Endpoint MakeEndpoint(const char* text) { return Endpoint::Parse(text).value(); }
inline Frontend MakeFrontend(const char* text) { return Frontend::Parse(text).value(); }
inline MacAddress MakeMac(const char* text) { return MacAddress::Parse(text).value(); }

inline SnapshotBackend MakeBackend(uint32_t id, const char* endpoint) {
  SnapshotBackend backend;
  backend.id = id;
  backend.endpoint = MakeEndpoint(endpoint);
  return backend;
}

// Services dns (1 frontend, 1 backend) and web (3 frontends, 3 backends), two next hops.
inline SnapshotInput SampleInput() {
  SnapshotService web;
  web.id = 20;
  web.name = "web";
  web.frontends = {MakeFrontend("203.0.113.10:443/tcp"), MakeFrontend("[2001:db8::10]:80/tcp"),
                   MakeFrontend("203.0.113.10:80/tcp")};
  web.backends = {MakeBackend(3, "10.0.0.12"), MakeBackend(2, "10.0.0.11"),
                  MakeBackend(4, "2001:db8:1::5")};
  web.backends[0].next_hop = SnapshotNextHop{MakeMac("02:00:00:00:00:0c"), 0, "eth1"};
  web.backends[1].next_hop = SnapshotNextHop{MakeMac("02:00:00:00:00:0b"), 7, "eth1"};
  web.backends[1].weight = 2;
  web.backends[2].state = BackendState::kDraining;

  SnapshotService dns;
  dns.id = 10;
  dns.name = "dns";
  dns.frontends = {MakeFrontend("203.0.113.10:53/udp")};
  dns.mode = ForwardingMode::kNat;
  dns.tracking_tcp = Tracking::kNone;
  dns.hash_policy = HashPolicy::kSourceIp;
  dns.backends = {MakeBackend(1, "10.0.0.53:5353")};
  dns.backends[0].next_hop = web.backends[1].next_hop;

  return {.generation = 7, .hash_seed = 0x1234, .services = {web, dns}};
}

}  // namespace fairlead::testing
