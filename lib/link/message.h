// Messages between control plane and dataplane, one per SOCK_SEQPACKET datagram on
// /run/fairlead/dataplane.sock. The dataplane listens, the control plane connects (and connects
// again when either side was restarted).
//
// clang-format off
//   control plane -> dataplane                    dataplane -> control plane
//                                                 Hello       once, first, in version 2
//   ClientHello    once, first                    Hello       in version 4
//   Publish   (+ memfd with the image)            Published   in force in all workers, or refused
//   GetStats                                      Stats       (+ memfd with the body, stats.h)
//   FindFlow                                      Flow
// clang-format on
//
// Every message: LinkHeader, then `body_bytes` of body, all little-endian. Replies carry the request's
// `id` and its version. A message of another magic or version, or of a wrong length, closes the
// connection with a logged reason; nothing else happens.
//
// Versions. The two programs need not be of one release. Version 2 is what release 0.1.0 speaks; 3 was
// never released. The dataplane greets everybody with the Hello of version 2. Its `snapshot_version`
// tells a newer control plane that more is understood: from 3 on, that one answers with a ClientHello,
// which says what it reads and writes, and gets the whole Hello. A control plane of release 0.1.0 asks
// at once, and is answered in version 2, with statistics that it can read (stats.h).
//
// In version 4 a body may be longer than this build knows: later releases add fields at the end, and
// what is unknown is skipped. So a new field needs no new version; a field that older releases do not
// send must be read with its default.
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
  kClientHello = 8,  // from version 4 on
};

struct LinkHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t type;
  uint32_t id;          // chosen by the asker, repeated in the reply
  uint32_t body_bytes;  // behind this header
};
static_assert(sizeof(LinkHeader) == 16);

struct HelloMessage {
  uint64_t pid = 0;               // as the process itself sees it: equal in two PID namespaces
  uint64_t instance = 0;          // of this process, chosen at random; 0: version 2, which has none
  uint64_t generation = 0;        // in force; 0 = none yet
  uint64_t snapshot_digest = 0;   // of the image in force
  uint64_t change_id = 0;         // in its header; 0 in version 2
  uint32_t snapshot_version = 0;  // the newest format that it reads
  uint32_t worker_count = 0;
  uint64_t flow_records = 0;             // capacity
  std::vector<IpAddress> own_addresses;  // of its ports (dataplane.yaml); none in version 2
  std::string release;                   // "0.2.0"; empty in version 2
};
struct ClientHelloMessage {
  uint32_t snapshot_version = 0;  // the newest format that it writes
  uint32_t stats_version = 0;     // the newest body of Stats that it reads
  std::string release;
};
// With one file descriptor: a memfd. The dataplane copies it before it answers; the sender leaves it
// alone until then.
struct PublishMessage {
  uint64_t generation = 0;
  uint64_t image_bytes = 0;
};
struct PublishedMessage {
  uint64_t generation = 0;
  bool in_force = false;  // false: refused, `reason` says why, the old tables stay
  uint64_t apply_us = 0;  // receipt to last worker's quiescence
  // Backends that it uses for nothing: the statistics tell which, and why. 0 in version 2.
  uint32_t left_out = 0;
  std::string reason;  // at most 1024 bytes
};
struct GetStatsMessage {};
struct StatsMessage {  // with one file descriptor: the body (stats.h)
  uint64_t body_bytes = 0;
};
struct FindFlowMessage {
  uint64_t tag = 0;  // RecordKey
  uint64_t buckets = 0;
  uint32_t service_id = 0;  // whose slot the flow is in
};
struct FlowMessage {
  bool found = false;
  uint32_t backend_id = 0;
  uint32_t age_ms = 0;      // since last seen
  uint8_t flags = 0;        // RecordFlags
  bool slot_known = false;  // the dataplane has the service
  uint8_t slot_state = 0;   // SlotState
  uint32_t current_id = 0;  // of the slot's owners; 0 = nobody
  uint32_t stable_id = 0;
};

using LinkMessage = std::variant<HelloMessage, PublishMessage, PublishedMessage, GetStatsMessage,
                                 StatsMessage, FindFlowMessage, FlowMessage, ClientHelloMessage>;

struct DecodedMessage {
  uint16_t version = 0;
  uint32_t id = 0;
  LinkMessage message;
};

// The datagram's bytes. Version 2 has no place for some fields, which are left out, and none for
// ClientHello. REQUIRES version 2 or 4, a reason of at most 1024 bytes, no more than kMaxOwnAddresses
// and a release of at most kMaxReleaseBytes.
std::vector<std::byte> EncodeLinkMessage(uint32_t id, const LinkMessage& message,
                                         uint16_t version = kLinkVersion);

// Never trusts the bytes (fuzzed). The message of a failure names what was wrong.
Result<DecodedMessage> DecodeLinkMessage(std::span<const std::byte> datagram);

}  // namespace fairlead
