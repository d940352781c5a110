// Everything that a worker reads to select a packet's backend: one immutable object per generation.
//
//   FrontendTable   frontend                      -> service index  -> ServiceEntry
//   ServiceEntry    slot (from the flow's hash)   -> local index of the backend
//   BackendEntry    at first_backend + local index
//
// The management thread builds the tables from a validated snapshot. Services whose slot owners did
// not change share the slot table of the previous generation. For the others a new slot table is
// derived from the previous one, since a slot's next state depends on its last one (slot_table.h).
// The tables are published as one pointer, and freed after all workers have passed a quiescent
// state.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/result.h"
#include "lib/flow/flow_hash.h"
#include "lib/net/address.h"
#include "lib/net/flow_key.h"
#include "lib/snapshot/difference.h"
#include "lib/snapshot/view.h"
#include "lib/table/counter_indices.h"
#include "lib/table/egress_path.h"
#include "lib/table/frontend_table.h"
#include "lib/table/nat_table.h"
#include "lib/table/slot_image.h"
#include "lib/table/slot_table.h"

namespace fairlead {

// Which loop of the rewrite stage handles a backend's packets in the common case: untagged, not
// larger than the MTU, and not of a kind that the mode excludes. A mode has one loop, a tunnel one
// for each outer family. kNone unless the backend has a known next hop without a VLAN, and its
// service has no flag of ModeDescriptor::slow_flags.
enum class FastPath : uint8_t { kNone = 0 };
// `outer`: of a tunnel; kIpv4 for modes that are not tunnels.
constexpr FastPath FastPathOf(ForwardingMode mode, Family outer) {
  return static_cast<FastPath>(1 + 2 * static_cast<int>(mode) + (outer == Family::kIpv6 ? 1 : 0));
}

// One backend in one cache line: everything that dsr and nat need.
struct alignas(64) BackendEntry {
  uint8_t destination_mac[6] = {};
  uint8_t source_mac[6] = {};  // the egress port's; unused when egress_port is kIngressPort
  uint16_t egress_port = kIngressPort;  // index into the EgressPorts that Build was given
  uint16_t vlan = 0;                    // 0 = keep the packet's tags
  uint32_t id = 0;
  uint32_t counter_index = 0;  // into the per-worker backend counters (CounterIndices)
  uint32_t service_index = 0;
  BackendState state = BackendState::kActive;
  bool has_next_hop = false;  // never true if left out
  uint16_t weight = 0;
  uint16_t port = 0;  // host order; 0 = the frontend's
  uint8_t family = 4;
  FastPath fast_path = FastPath::kNone;
  LeftOut left_out = LeftOut::kNo;  // if not kNo, `state` is never kActive
  uint8_t address[16] = {};
};
static_assert(sizeof(BackendEntry) == 64);

// For modes that rewrite the destination: true if the packet's sender is the backend chosen for it,
// which cannot answer itself.
inline bool IsHairpin(const FlowKey& key, const BackendEntry& backend) {
  uint64_t address[2];
  std::memcpy(address, backend.address, sizeof(address));
  return key.size_bytes == 16 ? (key.words[0] & 0xffffffff) == address[0]
                              : key.words[0] == address[0] && key.words[1] == address[1];
}

// The packet path reads only the first cache line.
struct alignas(64) ServiceEntry {
  const std::atomic<uint32_t>* slots = nullptr;  // slot_table->words()
  uint32_t slot_count = 0;
  uint32_t first_backend = 0;
  uint32_t backend_count = 0;
  HashPolicy hash_policy = HashPolicy::kFiveTuple;
  ForwardingMode mode = ForwardingMode::kDsr;
  Tracking tracking_tcp = Tracking::kAll;
  Tracking tracking_udp = Tracking::kAll;
  uint32_t idle_ticks_tcp = 0;  // idle timeouts in coarse ticks (flow_table.h), at least 1
  uint32_t idle_ticks_udp = 0;
  FlowHash salt;  // for the flow table's keys; from the service id
  uint32_t id = 0;
  uint32_t counter_index = 0;
  uint32_t flags = 0;  // ServiceFlags (snapshot/format.h)
  // True if no protocol of its frontends records all flows. A record that agrees with a settled or
  // pinned slot is then not needed.
  bool records_only_differences = true;
  // From its mode (lib/mode/mode.h).
  uint8_t overhead_bytes[2] = {};  // largest overhead over IPv4 and over IPv6
  bool decrements_ttl = false;

  // The packet is carried in another one.
  bool is_tunnel() const { return overhead_bytes[0] != 0; }
  uint32_t OverheadOf(Family outer) const { return overhead_bytes[outer == Family::kIpv4 ? 0 : 1]; }

  // Only the management thread uses the fields below.
  std::shared_ptr<SlotTable> slot_table;
  // T of its slots, after which the sweep may erase a record. It is the longest idle timeout of its
  // frontends' protocols, since a record does not tell its flow's protocol.
  uint32_t idle_ticks = 1;
  uint8_t frontend_families = 0;  // bit 0: IPv4, bit 1: IPv6
  uint32_t backends_left_out = 0;
  std::string name;
};

static_assert(offsetof(ServiceEntry, slot_table) == 64);

// The next hop towards clients, for nat's replies.
struct ClientHop {
  uint8_t destination_mac[6] = {};
  uint16_t egress_port = kIngressPort;
  uint16_t vlan = 0;  // 0 = keep the packet's tags
  bool known = false;
};

// Former owners keep their slot from being settled for this many idle timeouts T. Another balancer
// may make a record within T of the change. That record lives for another T after the flow's last
// packet there, so no number is enough for all flows. Simulation (bench/pcc, lost-rehash): 2 break
// 0.0203 % of the flows; 3 break 0.0123 % and cost a sixteenth more lookups.
inline constexpr uint32_t kFormerIdleTimeouts = 3;

// SlotChange::former_ticks of the service; 0 without second chance.
inline uint32_t FormerTicksOf(const ServiceEntry& service) {
  return (service.flags & kServiceSecondChance) != 0 ? kFormerIdleTimeouts * service.idle_ticks : 0;
}

class ForwardingTables {
 public:
  // The large parts of tables that are no longer read. Build reuses their memory, since new memory
  // costs a page fault for every 4 KiB: 1 ms for 100,000 backends.
  struct Memory {
    std::vector<BackendEntry> backends = {};
    std::vector<TunnelTemplate> tunnels = {};
  };
  // The state that the new tables continue.
  struct Past {
    const ForwardingTables* tables = nullptr;  // the generation in force; null: there is none
    uint32_t now_tick = 0;                     // coarse ticks; when slots begin to shift
    // Slots that an earlier process saved. Only for services that are not in `tables`.
    std::span<const SavedSlots> saved = {};
    // How the snapshot differs from the one that `tables` were built from, with the same ports.
    // Null: not known, so every service is built anew.
    const SnapshotDifference* difference = nullptr;
    Memory* memory = nullptr;  // Build takes it; null: none
  };
  struct BuildStats {
    uint32_t services_rebuilt = 0;  // slot tables computed anew
    uint32_t services_shared = 0;   // slot tables shared with the previous generation
    uint32_t slots_changed = 0;     // owners that differ from the previous generation's
    uint32_t backends_left_out = 0;
  };

  // A backend that these ports cannot serve is left out (BackendEntry::left_out): it owns no slot.
  // Everything else takes effect. Fails with kInvalidArgument if replies through nat would be
  // ambiguous (nat_table.h), and with kResourceExhausted if there are not enough counter indexes.
  // Ids of a failed build may keep counter indexes until the next Retain. `stats` may be null.
  // REQUIRES that the ids of past.tables have kept their counter indexes.
  static Result<std::unique_ptr<ForwardingTables>> Build(
      const SnapshotView& snapshot, const Past& past, std::span<const EgressPort> ports,
      CounterIndices* backend_indices, CounterIndices* service_indices, BuildStats* stats);

  // REQUIRES that no thread reads these tables any more.
  Memory TakeMemory() && { return {std::move(backends_), std::move(tunnels_)}; }

  uint64_t generation() const { return generation_; }
  uint64_t hash_seed() const { return hash_seed_; }
  const FrontendTable& frontends() const { return frontends_; }
  std::span<const ServiceEntry> services() const { return services_; }
  std::span<const BackendEntry> backends() const { return backends_; }
  // REQUIRES a backend of a service whose mode is a tunnel.
  const TunnelTemplate& tunnel(uint32_t backend_index) const { return tunnels_[backend_index]; }
  bool has_tunnels() const { return !tunnels_.empty(); }
  // True if some service hashes less than the 5-tuple.
  bool other_hash_policies() const { return other_hash_policies_; }
  // True if some service has kServiceFollowHandshakes.
  bool follows_handshakes() const { return follows_handshakes_; }
  // The longest of all services' idle_ticks. An older record has expired, whatever its service.
  uint32_t longest_idle_ticks() const { return longest_idle_ticks_; }
  const NatTable& nat() const { return nat_; }
  const ClientHop& client_hop(Family family) const {
    return client_hops_[family == Family::kIpv4 ? 0 : 1];
  }
  // The addresses of the dataplane's own ports. There are few.
  std::span<const IpAddress> own_addresses() const { return own_addresses_; }

  // The backend with this id, or nullptr (deleted). Reads one or two cache lines.
  const BackendEntry* FindBackend(uint32_t id) const {
    for (uint64_t i = HomeOf(id);; i = (i + 1) & id_mask_) {
      if (first_id_[i].id == id && id != 0) return &backends_[first_id_[i].index];
      if (first_id_[i].id == 0) return nullptr;
    }
  }

  // The index of `backend` (of these tables, or nullptr) within the service's backends; kNoOwner if
  // it is not one of them.
  uint16_t LocalIndexOf(const ServiceEntry& service, const BackendEntry* backend) const {
    if (backend == nullptr) return kNoOwner;
    const auto local = static_cast<uint32_t>(backend - backends_.data()) - service.first_backend;
    return local < service.backend_count ? static_cast<uint16_t>(local) : kNoOwner;
  }

  // True if a packet's backend may depend on its record: a slot is not settled, or a service
  // records all flows. Once false it stays false, since only new tables make slots shift.
  // Management thread.
  bool NeedFlowTable() const;

  // The service's unsettled slots, for another process. Management thread.
  SavedSlots SaveSlots(const ServiceEntry& service) const;

 private:
  friend class TablesBuilder;
  explicit ForwardingTables(FrontendTable frontends) : frontends_(std::move(frontends)) {}

  // Ids count up from 1. The multiplier (2^64 / golden ratio) spreads consecutive ids, which would
  // otherwise form long runs that lookups must walk through.
  uint64_t HomeOf(uint32_t id) const { return (id * 0x9e3779b97f4a7c15) >> 32 & id_mask_; }

  uint64_t generation_ = 0;
  uint64_t hash_seed_ = 0;
  FrontendTable frontends_;
  std::vector<ServiceEntry> services_;
  std::vector<BackendEntry> backends_;
  std::vector<TunnelTemplate> tunnels_;  // by backend index; empty when no service has tunnels
  bool other_hash_policies_ = false;
  bool follows_handshakes_ = false;
  uint32_t longest_idle_ticks_ = 1;
  NatTable nat_;
  ClientHop client_hops_[2];
  std::vector<IpAddress> own_addresses_;
  struct IdEntry {
    uint32_t id = 0;  // 0 = free
    uint32_t index = 0;
  };
  // Open addressing, 2^n entries, at most half full. It is shared with the previous generation if
  // every backend has the index that it had there.
  std::shared_ptr<const std::vector<IdEntry>> ids_;
  const IdEntry* first_id_ = nullptr;
  uint64_t id_mask_ = 0;
};

}  // namespace fairlead
