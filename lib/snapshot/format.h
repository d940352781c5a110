// The snapshot: the complete forwarding state as one flat binary image. The control plane or
// `fairctl snapshot build` makes it, and the dataplane reads it. It is little-endian. Every record
// has a fixed size and is aligned to 8.
//
//   offset 0   SnapshotHeader (160 bytes)
//   then       FrontendRecord[frontend_count]    sorted by (address, protocol, port; wider first)
//              ServiceRecord[service_count]      sorted by name
//              BackendRecord[backend_count]      grouped by service, sorted by endpoint within it
//              NextHopRecord[next_hop_count]
//              names: UTF-8 bytes, no terminators; services refer to it by (offset, length);
//              zeros up to a multiple of 8, where the image ends
//
// The sections follow each other without gaps, in this order, so one intent has exactly one image.
// A snapshot is always complete, never a delta. Nothing in it is trusted before ValidateSnapshot
// (validator.h) has checked every count, offset, index and enum. After that, SnapshotView reads it
// without checks. docs/snapshot-format.md has a worked image.
#pragma once

#include <cstdint>

#include "lib/mode/forwarding_mode.h"

namespace fairlead {

inline constexpr uint64_t kSnapshotMagic = 0x44454c5249414600;  // "\0FAIRLED" as it lies in memory
inline constexpr uint32_t kSnapshotVersion = 3;
// The oldest version that is read. It is also written, for a dataplane of release 0.1.0
// (older_format.h). Version 3 adds last_port (0 in every image of version 2, where service_index
// had 32 bits), kServiceResetNoBackend, kServiceFollowHandshakes and change_id.
inline constexpr uint32_t kOldestSnapshotVersion = 2;
inline constexpr uint64_t kMaxSnapshotBytes = uint64_t{256} << 20;
// The highest generation: the largest integer that all JSON readers represent exactly. Nobody makes
// 2^53 changes.
inline constexpr uint64_t kMaxGeneration = uint64_t{1} << 53;
inline constexpr uint32_t kMaxServices = 65535;
inline constexpr uint32_t kMaxFrontends = 1U << 20;
inline constexpr uint32_t kMaxBackends = 1U << 20;
// 64 MiB of slots. More is a sign of a damaged image: a hundred thousand slots already give shares
// that are exact to 0.01 %.
inline constexpr uint32_t kMaxSlotCount = 1U << 24;
inline constexpr uint32_t kMaxIdleTimeoutMs = 86'400'000;  // 24 h
inline constexpr uint16_t kMaxVlan = 4094;
inline constexpr uint32_t kNoNextHop = 0xffffffff;

enum class Tracking : uint8_t { kNone = 0, kAll = 1, kAdaptive = 2 };

// What the control plane has decided about a backend, from health, drain and fail-open.
enum class BackendState : uint8_t {
  kActive = 0,    // gets new flows in proportion to its weight
  kDraining = 1,  // keeps recorded flows, gets no new one
  kDown = 2,      // gets nothing; its recorded flows go to other backends
};

struct SectionRange {
  uint64_t offset_bytes;  // from the image's start, multiple of 8
  uint64_t count;         // records (bytes for names)
};

struct SnapshotHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t header_bytes;  // sizeof(SnapshotHeader)
  uint64_t total_bytes;   // of the image
  uint64_t generation;    // strictly increasing per control plane store
  uint64_t digest;     // XXH3-64 of everything after this header, seeded with XXH3-64 of the header
                       // with digest 0
  uint64_t hash_seed;  // the group's
  SectionRange frontends;
  SectionRange services;
  SectionRange backends;
  SectionRange next_hops;
  SectionRange names;
  // The next hop towards clients, by their family, for nat's replies. An index or kNoNextHop.
  uint32_t client_next_hop_v4;
  uint32_t client_next_hop_v6;
  // The id of the last change that the control plane had acknowledged; 0: none (fairctl snapshot
  // build).
  uint64_t change_id;
  uint64_t reserved[2];  // 0
};
static_assert(sizeof(SnapshotHeader) == 160);

struct FrontendRecord {
  uint8_t address[16];  // as IpAddress::bytes
  uint8_t family;       // 4 or 6
  uint8_t protocol;     // 6 or 17
  uint16_t port;        // host order; 0 = any port; for a range: its first port
  uint16_t service_index;
  uint16_t last_port;  // host order; for a range: its last port, above `port`; else 0
};
static_assert(sizeof(FrontendRecord) == 24);

struct ServiceRecord {
  uint32_t name_offset;  // into names
  uint16_t name_length;  // bytes, 1..255
  uint8_t mode;          // ForwardingMode
  uint8_t hash_policy;   // HashPolicy
  uint8_t tracking_tcp;  // Tracking
  uint8_t tracking_udp;  // Tracking
  uint16_t gue_port;     // 0 unless the mode has such a port
  uint32_t id;           // stable, unique; salts the flow table's tags
  uint32_t slot_count;   // prime
  uint32_t idle_timeout_tcp_ms;
  uint32_t idle_timeout_udp_ms;
  uint32_t first_backend;  // its backends are [first_backend, first_backend + backend_count)
  uint32_t backend_count;  // 0..kMaxBackendsPerService
  uint32_t flags;          // ServiceFlags
  uint32_t reserved[4];    // 0
};
static_assert(sizeof(ServiceRecord) == 56);

struct BackendRecord {
  uint8_t address[16];
  uint8_t family;
  uint8_t state;            // BackendState
  uint16_t port;            // host order; 0 = the frontend's
  uint16_t weight;          // 0..1000
  uint16_t reserved;        // 0
  uint32_t id;              // stable, unique in the snapshot, never 0; flow records contain it
  uint32_t next_hop_index;  // kNoNextHop: not resolved yet
};
static_assert(sizeof(BackendRecord) == 32);

struct NextHopRecord {
  uint8_t mac[6];
  uint16_t vlan;       // VLAN id 1..4094; 0 = the packet keeps its tags
  char interface[16];  // kernel name of the egress interface, NUL-padded; empty = the port that the
                       // packet arrived on
};
static_assert(sizeof(NextHopRecord) == 24);

}  // namespace fairlead
