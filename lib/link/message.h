// Messages between control plane and dataplane, one per SOCK_SEQPACKET datagram on
// /run/fairlead/dataplane.sock. The dataplane listens. The control plane connects, and connects
// again after a restart of either side.
//
// clang-format off
//   control plane -> dataplane                    dataplane -> control plane
//                                                 Hello       once, first, in version 2
//   ClientHello    once, first                    Hello       in version 4
//   Publish   (+ memfd with the image)            Published   in force in all workers, or refused
//   GetStats                                      Stats       (+ memfd with the body, stats.h)
//   FindFlow                                      Flow
//   OpenProbes (+ memfd with the targets)         Probes      or why there are none
// clang-format on
//
// A message is a LinkHeader, then a body of `body_bytes`, all little-endian. A reply carries the
// request's `id` and version. A message with another magic or version, or with a wrong length,
// closes the connection, and the reason is logged. It has no other effect.
//
// Versions. The two programs may be of different releases. Release 0.1.0 uses version 2; version 3
// was never released. The dataplane first sends the Hello of version 2 to every client. Its
// `snapshot_version` tells a newer control plane whether the dataplane knows version 4: if it is 3
// or more, the control plane sends a ClientHello with the formats that it reads and writes, and
// gets the complete Hello. A control plane of release 0.1.0 sends its first request instead, and
// gets replies of version 2, with statistics that it can read (stats.h).
//
// In version 4 a body may be longer than this build knows: later releases add fields at the end,
// and unknown fields are skipped. So a new field needs no new version. If an older release does not
// send a field, it gets its default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "lib/base/result.h"
#include "lib/net/address.h"

namespace fairlead {

inline constexpr uint32_t kLinkMagic = 0x4b4e4c46;  // "FLNK" as it lies in memory
inline constexpr uint16_t kLinkVersion = 4;
inline constexpr uint16_t kFirstLinkVersion = 2;  // of release 0.1.0
// Hello::snapshot_version from which a dataplane knows ClientHello.
inline constexpr uint32_t kSnapshotVersionOfClientHello = 3;
inline constexpr size_t kMaxLinkMessageBytes = 4096;
inline constexpr size_t kMaxOwnAddresses = 192;  // of all ports of a dataplane
inline constexpr size_t kMaxReleaseBytes = 64;
inline constexpr const char* kDefaultLinkPath = "/run/fairlead/dataplane.sock";

enum class LinkType : uint16_t {
  kHello = 1,
  kPublish = 2,
  kPublished = 3,
  kGetStats = 4,
  kStats = 5,
  kFindFlow = 6,
  kFlow = 7,
  // From version 4 on.
  kClientHello = 8,
  kOpenProbes = 9,  // only if Hello::makes_probes
  kProbes = 10,
};

struct LinkHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t type;
  uint32_t id;          // chosen by the requester, repeated in the reply
  uint32_t body_bytes;  // after this header
};
static_assert(sizeof(LinkHeader) == 16);

struct HelloMessage {
  uint64_t pid = 0;               // in the process's PID namespace; may be equal in two namespaces
  uint64_t instance = 0;          // random number of this process; 0: version 2, which has none
  uint64_t generation = 0;        // in force; 0 = none yet
  uint64_t snapshot_digest = 0;   // of the image in force
  uint64_t change_id = 0;         // from that image's header; 0 in version 2
  uint32_t snapshot_version = 0;  // the newest format that it reads
  uint32_t worker_count = 0;
  uint64_t flow_records = 0;             // capacity of the flow table
  std::vector<IpAddress> own_addresses;  // of its ports (dataplane.yaml); none in version 2
  std::string release;                   // "0.2.0"; empty in version 2
  uint64_t running_us = 0;               // since its workers started; 0: it does not tell
  uint64_t records_taken_over = 0;       // that an earlier process left in the flow table
  bool makes_probes = false;             // it knows OpenProbes
};
struct ClientHelloMessage {
  uint32_t snapshot_version = 0;  // the newest format that it writes
  uint32_t stats_version = 0;     // the newest body of Stats that it reads
  std::string release;
};
// Sent with one file descriptor, a memfd. The dataplane copies its content before it replies. The
// sender must not change it until then.
struct PublishMessage {
  uint64_t generation = 0;
  uint64_t image_bytes = 0;
};
struct PublishedMessage {
  uint64_t generation = 0;
  bool in_force = false;  // false: refused for `reason`; the old tables stay in force
  uint64_t apply_us = 0;  // from receipt to the last worker's quiescent state
  // The number of backends that are left out. The statistics tell which, and why. 0 in version 2.
  uint32_t left_out = 0;
  std::string reason;  // at most 1024 bytes
};
struct GetStatsMessage {};
struct StatsMessage {  // sent with one file descriptor, which has the body (stats.h)
  uint64_t body_bytes = 0;
};
struct FindFlowMessage {
  uint64_t tag = 0;  // RecordKey
  uint64_t buckets = 0;
  uint32_t service_id = 0;  // the flow's service
};
struct FlowMessage {
  bool found = false;
  uint32_t backend_id = 0;
  uint32_t age_ms = 0;      // since last seen
  uint8_t flags = 0;        // RecordFlags
  bool slot_known = false;  // the dataplane has the service
  uint8_t slot_state = 0;   // SlotState
  uint32_t current_id = 0;  // the slot's current owner; 0 = none
  uint32_t stable_id = 0;   // the slot's stable owner; 0 = none
};
// Asks the dataplane to send health probes of this host to backends (lib/link/probe_ports.h). Sent
// with one file descriptor, a memfd of kProbePorts 32-bit numbers: the id of the backend that the
// packets from each probe port are for; 0: none. It is sealed against shrinking. Both sides map it,
// and the control plane changes it at any time.
struct OpenProbesMessage {};
struct ProbesMessage {
  bool open = false;   // false: for `reason`
  std::string reason;  // at most 1024 bytes
};

using LinkMessage = std::variant<HelloMessage, PublishMessage, PublishedMessage, GetStatsMessage,
                                 StatsMessage, FindFlowMessage, FlowMessage, ClientHelloMessage,
                                 OpenProbesMessage, ProbesMessage>;

struct DecodedMessage {
  uint16_t version = 0;
  uint32_t id = 0;
  LinkMessage message;
};

// The datagram's bytes. Version 2 does not have some fields, which are then not sent, and has no
// ClientHello. REQUIRES version 2 or 4, a reason of at most 1024 bytes, at most kMaxOwnAddresses
// addresses and a release of at most kMaxReleaseBytes.
std::vector<std::byte> EncodeLinkMessage(uint32_t id, const LinkMessage& message,
                                         uint16_t version = kLinkVersion);

// Never trusts the bytes (fuzzed). The message of a failure tells what was wrong.
Result<DecodedMessage> DecodeLinkMessage(std::span<const std::byte> datagram);

}  // namespace fairlead
