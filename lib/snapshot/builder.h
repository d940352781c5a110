// Makes a snapshot image from plain values. It sorts them, so that the same intent gives the same
// bytes (except the generation), whatever the order of the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/result.h"
#include "lib/flow/flow_hash.h"
#include "lib/maglev/maglev_table.h"
#include "lib/net/address.h"
#include "lib/snapshot/format.h"

namespace fairlead {

struct SnapshotNextHop {
  MacAddress mac;
  uint16_t vlan = 0;
  std::string interface;  // at most 15 bytes
  friend auto operator<=>(const SnapshotNextHop&, const SnapshotNextHop&) = default;
};

struct SnapshotBackend {
  uint32_t id = 0;
  Endpoint endpoint;
  uint16_t weight = 1;
  BackendState state = BackendState::kActive;
  std::optional<SnapshotNextHop> next_hop;
};

struct SnapshotService {
  uint32_t id = 0;
  std::string name;
  std::vector<Frontend> frontends;
  ForwardingMode mode = ForwardingMode::kDsr;
  HashPolicy hash_policy = HashPolicy::kFiveTuple;
  Tracking tracking_tcp = Tracking::kAll;
  Tracking tracking_udp = Tracking::kAll;
  uint16_t gue_port = 0;
  uint32_t flags = 0;  // ServiceFlags
  uint32_t slot_count = kDefaultSlotCount;
  uint32_t idle_timeout_tcp_ms = 350'000;
  uint32_t idle_timeout_udp_ms = 120'000;
  std::vector<SnapshotBackend> backends;
};

struct SnapshotInput {
  uint64_t generation = 0;
  uint64_t hash_seed = 0;
  std::vector<SnapshotService> services;
  std::optional<SnapshotNextHop> client_next_hop_v4 = {};  // for nat's replies
  std::optional<SnapshotNextHop> client_next_hop_v6 = {};
  uint64_t change_id = 0;  // SnapshotHeader
};

// An image that has been validated, so the dataplane accepts it. The buffer is aligned to 8 (a
// vector of uint64_t words). Its size in bytes is header.total_bytes.
class SnapshotImage {
 public:
  SnapshotImage() = default;
  explicit SnapshotImage(std::vector<uint64_t> words) : words_(std::move(words)) {}
  // REQUIRES a valid image.
  static SnapshotImage CopyOf(std::span<const std::byte> image);
  std::span<const std::byte> bytes() const;
  // Its memory, for another image.
  std::vector<uint64_t> TakeWords() && { return std::move(words_); }

 private:
  std::vector<uint64_t> words_;
};

// Makes and validates an image. Fails with the error of ValidateSnapshot.
Result<SnapshotImage> BuildSnapshot(const SnapshotInput& input);

// Copies foreign bytes to an aligned buffer and validates them.
Result<SnapshotImage> LoadSnapshot(std::span<const std::byte> bytes);

}  // namespace fairlead
