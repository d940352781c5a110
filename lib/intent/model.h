// The intent: what the operator asked for, as plain values. The HTTP API, services.yaml and the
// store are all decoded to these types. One validator checks them.
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

// What a client of a service without a usable backend gets.
enum class NoBackendPolicy : uint8_t {
  kDrop = 0,
  kReset = 1,  // TCP: a reset; UDP: ICMP port unreachable
};

// What happens to a backend's flows at its drain's deadline, or when it fails its check.
enum class FlowPolicy : uint8_t {
  kRelease = 0,  // they go to the current owners of their slots, which reset them
  kKeep = 1,     // they stay
};

// How a check reaches a backend.
enum class CheckVia : uint8_t {
  kDirect = 0,     // to its own address, as this host routes it
  kDataplane = 1,  // to the frontend's address, by the dataplane's own forwarding
};

// What is done about backends that leave more handshakes unanswered than the service's others.
enum class OutlierPolicy : uint8_t {
  kOff = 0,      // handshakes are not followed
  kObserve = 1,  // outliers are shown and logged
  kEject = 2,    // they get no new flows for some time
};

struct HealthCheck {
  const CheckType* type = &kTcpCheck;
  uint32_t interval_ms = 2000;  // from 100
  uint32_t timeout_ms = 1000;   // below interval_ms
  uint32_t rise = 2;            // 1..10 passes in a row to become healthy
  uint32_t fall = 3;            // 1..10 failures in a row to become unhealthy
  uint16_t port = 0;            // 0 = the backend's port, else the first frontend's
  bool all_ports = false;       // each TCP frontend's port is checked, and all must pass
  // Unset: through the dataplane if the mode and this host allow it, else direct.
  std::optional<CheckVia> via = {};
  std::optional<Frontend> frontend = {};  // the one to check; unset: the first of the protocol
  CheckSettings settings = {};            // those of the type
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

struct BackendSpec {
  Endpoint endpoint;
  uint16_t weight = 1;            // 0..1000; 0 = no new flows
  std::optional<MacAddress> mac;  // static next hop: no neighbour resolution
  std::optional<uint16_t> vlan;   // VLAN of the static next hop
  friend bool operator==(const BackendSpec&, const BackendSpec&) = default;
};

// The number of healthy backends below which a service counts as down (min_healthy.h).
struct MinHealthy {
  uint32_t count = 0;    // 0: `percent`
  uint32_t percent = 0;  // of its backends, 1..100; 0: `count`
  bool is_set() const { return count != 0 || percent != 0; }
  friend bool operator==(const MinHealthy&, const MinHealthy&) = default;
};

struct ServiceSpec {
  std::string name;                 // [a-z0-9][a-z0-9._-]{0,62}
  std::vector<Frontend> frontends;  // 1..256, distinct
  ForwardingMode forwarding = ForwardingMode::kDsr;
  std::optional<uint16_t> gue_port;  // gue only; unset: 6080
  bool gue_checksum = false;         // gue only: outer UDP checksum
  bool second_chance = false;        // gue only: candidate lists for the agent
  bool mss_clamp = false;            // nat only
  bool drop_too_big = false;         // IPv4 without DF larger than the MTU: drop; else cut
  HashPolicy hash = HashPolicy::kFiveTuple;
  std::optional<Tracking> tracking;         // unset: TCP adaptive, UDP all
  std::optional<uint32_t> idle_timeout_ms;  // unset: TCP 350 s, UDP 120 s; 1 s..24 h
  uint32_t drain_timeout_ms = 300'000;      // 0..3600 s
  FlowPolicy on_deadline = FlowPolicy::kRelease;
  FlowPolicy on_unhealthy = FlowPolicy::kRelease;
  uint32_t keep_unhealthy_ms = 300'000;  // with on_unhealthy keep: for how long; 1 s..100 h
  bool fail_open = true;                 // if all backends are unhealthy, use all of them
  MinHealthy min_healthy;                // below it the service counts as down; unset: 1
  uint32_t slow_start_ms = 0;            // 0..15 min; 0: a new backend gets its weight at once
  NoBackendPolicy on_no_backend = NoBackendPolicy::kDrop;
  OutlierPolicy outlier = OutlierPolicy::kOff;
  uint32_t slot_count = kDefaultSlotCount;  // prime
  HealthCheck health_check;
  std::vector<BackendSpec> backends;
  friend bool operator==(const ServiceSpec&, const ServiceSpec&) = default;
};

// The parameters of a drain.
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
inline constexpr uint32_t kMaxSlowStartMs = 900'000;
inline constexpr uint32_t kMinCheckIntervalMs = 100;
inline constexpr uint32_t kMaxCheckIntervalMs = 3'600'000;
inline constexpr uint32_t kMaxRiseFall = 10;
inline constexpr std::string_view kMinHealthyValues =
    "a number of backends such as 2, a share of 1% to 100% such as \"30%\", or 0 for none";

// The service's setting, else the protocol's default: TCP adaptive and 350 s, UDP all and 120 s.
Tracking TrackingFor(const ServiceSpec& service, Protocol protocol);
uint32_t IdleTimeoutMsFor(const ServiceSpec& service, Protocol protocol);
// The longest idle timeout of its frontends' protocols.
uint32_t LongestIdleTimeoutMs(const ServiceSpec& service);

// Check all rules: names, ranges, duplicates, a frontend of two services, a backend that is a
// frontend, another port without nat, and those of nat (nat_rules.h). The message names service,
// field and value: "service web: backends[1].weight: 1001 is not within 0..1000". kAlreadyExists if
// two services claim the same, else kInvalidArgument.
Status ValidateService(const ServiceSpec& service);
Status ValidateIntent(const IntentSpec& intent);
// As ValidateService, but messages start with `path`, such as "services[3].".
Status ValidateServiceAt(const ServiceSpec& service, std::string_view path);
// Checks the rules that concern one backend only: not duplicates, and not nat's rules. The backends
// in `settings` are not used.
Status ValidateBackendAt(const ServiceSpec& settings, const BackendSpec& backend,
                         const std::string& path);
Status ValidateBackendCount(size_t count, std::string_view path);

// Check the ranges of the field tables (decode.cc). Messages start with `prefix` and the field's
// name.
Status CheckServiceFields(const ServiceSpec& service, std::string_view prefix);
Status CheckBackendFields(const BackendSpec& backend, std::string_view prefix);

// True if all its frontends are UDP.
bool IsUdpOnly(const ServiceSpec& service);
// False for an any-port frontend of nat. It was allowed once, and stored services may have it. It
// is not put into snapshots, since the backends' own connections would be translated as replies.
bool IsStillAllowed(const ServiceSpec& service, const Frontend& frontend);
// Checks rules for new services, and for services whose frontends, forwarding or check change.
// Stored services may break them. A TCP check of a service with UDP frontends only needs a port.
// nat allows no any-port frontend. Messages are as of ValidateServiceAt.
Status ValidateNewService(const ServiceSpec& service, std::string_view path);

// The service's ServiceFlags (lib/mode/forwarding_mode.h), whether or not its mode allows them.
uint32_t ServiceFlagsOf(const ServiceSpec& service);

// True if a frontend has this port, alone or in a range. An any-port frontend has port 0 only.
bool NamesPort(const ServiceSpec& service, uint16_t port);

// A backend's endpoint as it is stored: without its port if the mode cannot change ports and the
// port is a frontend's.
Endpoint NormalizeEndpoint(const ServiceSpec& service, const Endpoint& endpoint);
// Normalizes all backends and fills in gue's default port. ServiceFromJson calls it.
void NormalizeService(ServiceSpec* service);

// The backend that a user names: the one with exactly this endpoint. Else, if the port is one of
// the service's frontend ports, the backend of that address without a port.
const BackendSpec* FindBackend(const ServiceSpec& service, const Endpoint& endpoint);

// Stable ids for flow records and salts. An id is a hash of names, so it is the same on every
// balancer and after a lost store. After a collision, which is rare, the caller tries the next
// `attempt`. Never 0.
uint32_t ProposeBackendId(const std::string& service_name, const Endpoint& endpoint,
                          uint32_t attempt);
uint32_t ProposeServiceId(const std::string& service_name, uint32_t attempt);

}  // namespace fairlead
