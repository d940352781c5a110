// Messages between control plane and dataplane, one per SOCK_SEQPACKET datagram on
// /run/fairlead/dataplane.sock. The dataplane listens, the control plane connects (and connects
// again when either side was restarted).
//
// clang-format off
//   control plane -> dataplane                    dataplane -> control plane
//                                                 Hello       once, first
//   Publish   (+ memfd with the image)            Published   in force in all workers, or refused
//   GetStats                                      Stats       (+ memfd with the body, stats.h)
//   FindFlow                                      Flow
// clang-format on
//
// Every message: LinkHeader, then `body_bytes` of body, all little-endian and of fixed size but for
// the addresses of Hello and the text of Published. Replies carry the request's `id`. A message of another magic or version,
// or of a wrong length, closes the connection with a logged reason; nothing else happens.
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
inline constexpr uint16_t kLinkVersion = 3;
inline constexpr size_t kMaxLinkMessageBytes = 4096;
inline constexpr size_t kMaxOwnAddresses = 192;  // of all ports of a dataplane
inline constexpr const char* kDefaultLinkPath = "/run/fairlead/dataplane.sock";

enum class LinkType : uint16_t {
  kHello = 1,
  kPublish = 2,
  kPublished = 3,
  kGetStats = 4,
  kStats = 5,
  kFindFlow = 6,
  kFlow = 7,
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
  uint64_t instance = 0;          // of this process, chosen at random; never 0
  uint64_t generation = 0;        // in force; 0 = none yet
  uint64_t snapshot_digest = 0;   // of the image in force
  uint64_t change_id = 0;         // in its header
  uint32_t snapshot_version = 0;  // the newest format it reads
  uint32_t worker_count = 0;
  uint64_t flow_records = 0;             // capacity
  std::vector<IpAddress> own_addresses;  // of its ports (dataplane.yaml); at most kMaxOwnAddresses
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
  uint32_t left_out = 0;  // backends that it uses for nothing: the statistics tell which, and why
  std::string reason;     // at most 1024 bytes
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
                                 StatsMessage, FindFlowMessage, FlowMessage>;

struct DecodedMessage {
  uint32_t id = 0;
  LinkMessage message;
};

// The datagram's bytes. REQUIRES reason of at most 1024 bytes, and no more than kMaxOwnAddresses.
std::vector<std::byte> EncodeLinkMessage(uint32_t id, const LinkMessage& message);

// Never trusts the bytes (fuzzed). The message of a failure names what was wrong.
Result<DecodedMessage> DecodeLinkMessage(std::span<const std::byte> datagram);

}  // namespace fairlead
