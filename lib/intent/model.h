// The intent: what the operator wants, as plain values. The HTTP API, services.yaml and the store
// all decode to these; one validator judges them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"
#include "lib/flow/flow_hash.h"
#include "lib/intent/checks/check_type.h"
#include "lib/maglev/maglev_table.h"
#include "lib/net/address.h"
#include "lib/snapshot/format.h"

namespace fairlead {

// What is sent to a client of a service without a backend that could take it.
enum class NoBackendPolicy : uint8_t {
  kDrop = 0,
  kReset = 1,  // TCP: a reset; UDP: ICMP port unreachable
};

// What becomes of the flows that a backend has, at its drain's deadline or when it fails its check.
enum class FlowPolicy : uint8_t {
  kRelease = 0,  // they go to the present owners of their slots, which reset them
  kKeep = 1,     // they stay
};

struct HealthCheck {
  const CheckType* type = &kTcpCheck;
  uint32_t interval_ms = 2000;  // from 100
  uint32_t timeout_ms = 1000;   // below interval_ms
  uint32_t rise = 2;            // 1..10 passes in a row to become healthy
  uint32_t fall = 3;            // 1..10 failures in a row to become unhealthy
  uint16_t port = 0;            // 0 = the backend's, else the first frontend's
  bool all_ports = false;       // each TCP frontend's port is checked, and all must pass
  CheckSettings settings = {};  // the type's own
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

struct BackendSpec {
  Endpoint endpoint;
  uint16_t weight = 1;            // 0..1000; 0 = no new flows
  std::optional<MacAddress> mac;  // static next hop: no neighbour resolution
  std::optional<uint16_t> vlan;   // of the static next hop
  friend bool operator==(const BackendSpec&, const BackendSpec&) = default;
};

struct ServiceSpec {
  std::string name;                 // [a-z0-9][a-z0-9._-]{0,62}
  std::vector<Frontend> frontends;  // 1..256, distinct
  ForwardingMode forwarding = ForwardingMode::kDsr;
  std::optional<uint16_t> gue_port;  // gue only; unset: 6080
  bool gue_checksum = false;         // gue only: outer UDP checksum
  bool second_chance = false;        // gue only: lists of candidates for the agent
  bool mss_clamp = false;            // nat only
  bool drop_too_big = false;         // IPv4 without DF larger than the MTU: drop; else cut
  HashPolicy hash = HashPolicy::kFiveTuple;
  std::optional<Tracking> tracking;         // unset: TCP adaptive, UDP all
  std::optional<uint32_t> idle_timeout_ms;  // unset: TCP 350 s, UDP 120 s; 1 s..24 h
  uint32_t drain_timeout_ms = 300'000;      // 0..3600 s
  FlowPolicy on_deadline = FlowPolicy::kRelease;
  FlowPolicy on_unhealthy = FlowPolicy::kRelease;
  uint32_t keep_unhealthy_ms = 300'000;  // with on_unhealthy keep: so long; 1 s..100 h
  bool fail_open = true;                 // all backends down: use them all the same
  NoBackendPolicy on_no_backend = NoBackendPolicy::kDrop;
  uint32_t slot_count = kDefaultSlotCount;  // prime
  HealthCheck health_check;
  std::vector<BackendSpec> backends;
  friend bool operator==(const ServiceSpec&, const ServiceSpec&) = default;
};

// What a drain is asked for with.
struct DrainRequest {
  std::optional<uint32_t> timeout_ms;  // unset: the service's
};

struct IntentSpec {
  uint64_t hash_seed = 0;
  std::vector<ServiceSpec> services;
  friend bool operator==(const IntentSpec&, const IntentSpec&) = default;
};

inline constexpr uint32_t kMaxFrontendsPerService = 256;
inline constexpr uint32_t kMinIdleTimeoutMs = 1000;
inline constexpr uint32_t kMaxDrainTimeoutMs = 3'600'000;
inline constexpr uint32_t kMinKeepUnhealthyMs = 1000;
inline constexpr uint32_t kMaxKeepUnhealthyMs = 360'000'000;
inline constexpr uint32_t kMinCheckIntervalMs = 100;
inline constexpr uint32_t kMaxCheckIntervalMs = 3'600'000;
inline constexpr uint32_t kMaxRiseFall = 10;

// What the service says, or else the protocol's default: TCP adaptive and 350 s, UDP all and 120 s.
Tracking TrackingFor(const ServiceSpec& service, Protocol protocol);
uint32_t IdleTimeoutMsFor(const ServiceSpec& service, Protocol protocol);
// Over the protocols that it has frontends of.
uint32_t LongestIdleTimeoutMs(const ServiceSpec& service);

// The whole rule book: names, ranges, duplicates, a frontend of two services, a backend that is a
// frontend, another port without nat, and nat's own (nat_rules.h). The message names service, field
// and value: "service web: backends[1].weight: 1001 is not within 0..1000". kAlreadyExists for what
// two services claim, kInvalidArgument for all else.
Status ValidateService(const ServiceSpec& service);
Status ValidateIntent(const IntentSpec& intent);
// ValidateService; messages start with `path` in place of "service NAME: ", for instance "services[3].".
Status ValidateServiceAt(const ServiceSpec& service, std::string_view path);
// What of it concerns one backend alone: not that it appears once, nor nat's rules. `settings` without
// regard to its backends.
Status ValidateBackendAt(const ServiceSpec& settings, const BackendSpec& backend,
                         const std::string& path);
Status ValidateBackendCount(size_t count, std::string_view path);

// The ranges in the tables of fields (decode.cc). Messages start with `prefix` and the field's name.
Status CheckServiceFields(const ServiceSpec& service, std::string_view prefix);
Status CheckBackendFields(const BackendSpec& backend, std::string_view prefix);

// All its frontends are UDP.
bool IsUdpOnly(const ServiceSpec& service);
// False: a frontend that was allowed once, and that stored services may have. It is in no snapshot: nat
// cannot have one for any port, which would take the backends' own connections for replies.
bool IsStillAllowed(const ServiceSpec& service, const Frontend& frontend);
// What is asked of a service that is new, or whose frontends, forwarding or check change; what is
// stored may be otherwise. A TCP check of a service of UDP frontends only needs a port; nat takes no
// any-port frontend. Message as of ValidateServiceAt.
Status ValidateNewService(const ServiceSpec& service, std::string_view path);

// ServiceFlags (lib/mode/forwarding_mode.h), whether or not its mode allows them.
uint32_t ServiceFlagsOf(const ServiceSpec& service);

// One of its frontends is for this very port.
bool NamesPort(const ServiceSpec& service, uint16_t port);

// How a backend's endpoint is stored: without its port where the mode cannot change ports and the
// port is a frontend's anyway.
Endpoint NormalizeEndpoint(const ServiceSpec& service, const Endpoint& endpoint);
// The same for all backends, and gue's default port filled in. ServiceFromJson does it.
void NormalizeService(ServiceSpec* service);

// What a person means by an endpoint of this service: the exact one, else, when the port is one of
// the service's frontend ports, the backend of that address without a port.
const BackendSpec* FindBackend(const ServiceSpec& service, const Endpoint& endpoint);

// Stable ids for flow records and salts: the same on every balancer and after a lost store. A hash
// of the names; the caller resolves the rare collision by asking with the next `attempt`. Never 0.
uint32_t ProposeBackendId(const std::string& service_name, const Endpoint& endpoint,
                          uint32_t attempt);
uint32_t ProposeServiceId(const std::string& service_name, uint32_t attempt);

}  // namespace fairlead
