#include "lib/table/forwarding_tables.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

#include "lib/base/check.h"
#include "lib/flow/flow_table.h"
#include "lib/maglev/maglev_table.h"

namespace fairlead {
namespace {

// A backend's weight in its service's slots. Only backends that may get new flows own slots.
uint16_t EffectiveWeight(const BackendEntry& backend) {
  return backend.state == BackendState::kActive ? backend.weight : uint16_t{0};
}

// It depends only on the endpoint and the group's seed, so it is the same on every balancer of a
// group.
uint64_t IdentityOf(const BackendEntry& backend, uint64_t hash_seed) {
  uint8_t bytes[sizeof(backend.address) + 3];
  std::memcpy(bytes, backend.address, sizeof(backend.address));
  bytes[16] = backend.family;
  bytes[17] = static_cast<uint8_t>(backend.port >> 8);
  bytes[18] = static_cast<uint8_t>(backend.port);
  return XXH3_64bits_withSeed(bytes, sizeof(bytes), hash_seed);
}

bool SameEndpoint(const BackendEntry& a, const BackendEntry& b) {
  return a.family == b.family && a.port == b.port &&
         std::memcmp(a.address, b.address, sizeof(a.address)) == 0;
}

// True if both lists give the same slots to the same local indices. Backends that own no slot are
// ignored.
bool SameOwners(std::span<const BackendEntry> a, std::span<const BackendEntry> b) {
  const size_t common = std::min(a.size(), b.size());
  for (size_t i = 0; i < common; ++i) {
    const uint16_t weight = EffectiveWeight(a[i]);
    if (weight != EffectiveWeight(b[i])) return false;
    if (weight != 0 && !SameEndpoint(a[i], b[i])) return false;
  }
  const auto idle = [](const BackendEntry& backend) { return EffectiveWeight(backend) == 0; };
  return std::all_of(a.begin() + static_cast<ptrdiff_t>(common), a.end(), idle) &&
         std::all_of(b.begin() + static_cast<ptrdiff_t>(common), b.end(), idle);
}

bool SameIds(std::span<const BackendEntry> a, std::span<const BackendEntry> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const BackendEntry& x, const BackendEntry& y) { return x.id == y.id; });
}

FastPath FastPathOf(const ServiceEntry& service, uint8_t family) {
  if ((service.flags & ModeOf(service.mode).slow_flags) != 0) return FastPath::kNone;
  return FastPathOf(service.mode,
                    service.is_tunnel() ? static_cast<Family>(family) : Family::kIpv4);
}

bool Tracks(const ServiceEntry& service) {
  return service.tracking_tcp != Tracking::kNone || service.tracking_udp != Tracking::kNone;
}

// If true, tunnels_ has an entry for each backend, including those that are left out.
bool HasTunnels(const ServiceEntry& service) {
  return service.backend_count != 0 && service.is_tunnel();
}

uint32_t TicksFor(uint32_t timeout_ms) {
  return std::max(1U, (timeout_ms * kTicksPerSecond + 999) / 1000);  // at most 24 h: no overflow
}

}  // namespace

// The state of one Build: its input, and the tables that it makes.
class TablesBuilder {
 public:
  TablesBuilder(const SnapshotView& snapshot, const ForwardingTables::Past& past,
                std::span<const EgressPort> ports)
      : snapshot_(snapshot),
        past_(past),
        previous_(past.tables),
        ports_(ports),
        own_address_{HasOwnAddress(Family::kIpv4, ports), HasOwnAddress(Family::kIpv6, ports)},
        tables_(new ForwardingTables(FrontendTable(snapshot.frontends()))) {}

  Result<std::unique_ptr<ForwardingTables>> Build(CounterIndices* backend_indices,
                                                  CounterIndices* service_indices,
                                                  ForwardingTables::BuildStats* stats) {
    if (past_.memory != nullptr) {
      tables_->backends_ = std::move(past_.memory->backends);
      tables_->tunnels_ = std::move(past_.memory->tunnels);
      tables_->backends_.clear();
      tables_->tunnels_.clear();
    }
    tables_->generation_ = snapshot_.header().generation;
    tables_->hash_seed_ = snapshot_.header().hash_seed;
    AddServices();
    AddBackends();
    RETURN_IF_ERROR(AddNat());
    AddIds();
    // After the checks, so that a refused snapshot takes no counter indexes.
    RETURN_IF_ERROR(AssignCounters(backend_indices, service_indices));
    AddSlots();
    if (stats != nullptr) *stats = stats_;
    return std::move(tables_);
  }

 private:
  // A service in the previous generation.
  struct Before {
    const ServiceEntry* service = nullptr;  // null: it is new
    bool may_share = false;                 // its slot table can be shared
  };
  // The first sixteen bytes of a backend's entry, which come from its next hop.
  struct Hop {
    uint8_t destination_mac[6] = {};
    uint8_t source_mac[6] = {};
    uint16_t egress_port = kIngressPort;
    uint16_t vlan = 0;
    bool port_known = false;
  };

  void AddServices() {
    tables_->services_.reserve(snapshot_.services().size());
    for (const ServiceRecord& record : snapshot_.services()) {
      ServiceEntry entry;
      entry.name = snapshot_.name_of(record);
      entry.slot_count = record.slot_count;
      entry.first_backend = record.first_backend;
      entry.backend_count = record.backend_count;
      entry.hash_policy = static_cast<HashPolicy>(record.hash_policy);
      if (entry.hash_policy != HashPolicy::kFiveTuple) tables_->other_hash_policies_ = true;
      entry.mode = static_cast<ForwardingMode>(record.mode);
      entry.tracking_tcp = static_cast<Tracking>(record.tracking_tcp);
      entry.tracking_udp = static_cast<Tracking>(record.tracking_udp);
      entry.idle_ticks_tcp = TicksFor(record.idle_timeout_tcp_ms);
      entry.idle_ticks_udp = TicksFor(record.idle_timeout_udp_ms);
      entry.salt = SaltOfService(record.id);
      entry.id = record.id;
      entry.flags = record.flags;
      if ((record.flags & kServiceFollowHandshakes) != 0) tables_->follows_handshakes_ = true;
      const ModeDescriptor& mode = ModeOf(record);
      entry.overhead_bytes[0] = static_cast<uint8_t>(mode.OverheadOf(Family::kIpv4, record.flags));
      entry.overhead_bytes[1] = static_cast<uint8_t>(mode.OverheadOf(Family::kIpv6, record.flags));
      entry.decrements_ttl = mode.decrements_ttl;
      tables_->services_.push_back(std::move(entry));
    }
    for (const FrontendRecord& frontend : snapshot_.frontends()) {
      ServiceEntry& service = tables_->services_[frontend.service_index];
      const bool is_tcp = frontend.protocol == static_cast<uint8_t>(Protocol::kTcp);
      service.idle_ticks =
          std::max(service.idle_ticks, is_tcp ? service.idle_ticks_tcp : service.idle_ticks_udp);
      const Tracking tracking = is_tcp ? service.tracking_tcp : service.tracking_udp;
      if (tracking == Tracking::kAll) service.records_only_differences = false;
      service.frontend_families |= frontend.family == 4 ? 1 : 2;
    }
    for (const ServiceEntry& service : tables_->services_) {
      tables_->longest_idle_ticks_ = std::max(tables_->longest_idle_ticks_, service.idle_ticks);
    }
    FindServicesBefore();
  }

  // Both generations are sorted by name, so the next old service nearly always matches.
  void FindServicesBefore() {
    before_.resize(tables_->services_.size());
    if (previous_ == nullptr) return;
    std::unordered_map<uint32_t, const ServiceEntry*> by_id;  // filled at the first mismatch
    const auto old = previous_->services();
    size_t next = 0;
    for (size_t s = 0; s < before_.size(); ++s) {
      const uint32_t id = tables_->services_[s].id;
      if (next == old.size() || old[next].id != id) {
        if (by_id.empty()) {
          for (const ServiceEntry& service : old) by_id[service.id] = &service;
        }
        const auto found = by_id.find(id);
        if (found == by_id.end()) continue;
        next = static_cast<size_t>(found->second - old.data());
      }
      before_[s].service = &old[next++];
    }
  }

  Hop HopOf(const NextHopRecord& record) const {
    Hop hop;
    std::memcpy(hop.destination_mac, record.mac, sizeof(record.mac));
    hop.vlan = record.vlan;
    const std::optional<uint16_t> port = PortOf(record);
    hop.port_known = port.has_value();
    if (!port) return hop;
    hop.egress_port = *port;
    if (*port == kIngressPort) return hop;
    const MacAddress& mac = ports_[*port].mac;
    std::memcpy(hop.source_mac, mac.bytes.data(), mac.bytes.size());
    return hop;
  }

  // Handles one service at a time, so that its backends, old and new, stay in the cache.
  void AddBackends() {
    tables_->backends_.reserve(snapshot_.backends().size());
    same_indices_ =
        previous_ != nullptr && previous_->backends().size() == snapshot_.backends().size();
    for (uint32_t s = 0; s < tables_->services_.size(); ++s) {
      ServiceEntry& service = tables_->services_[s];
      Before& before = before_[s];
      if (const ServiceEntry* same = SameBefore(s); same != nullptr) {
        CopyBackendsOf(s, *same);
        before.may_share =
            SameSlots(service, *same) && (same->slot_table->all_settled() || Tracks(service));
      } else {
        AddBackendsOf(s);
        before.may_share = before.service != nullptr && MayShare(service, *before.service);
      }
      stats_.backends_left_out += service.backends_left_out;
    }
  }

  // The service in the previous generation, if everything that its backends' entries depend on is
  // unchanged; else null.
  const ServiceEntry* SameBefore(uint32_t service_index) const {
    if (previous_ == nullptr || past_.difference == nullptr) return nullptr;
    const uint32_t old_index = past_.difference->same_in_before[service_index];
    if (old_index == kNoSuchService) return nullptr;
    const ServiceEntry& old = previous_->services()[old_index];
    const bool same = old.frontend_families == tables_->services_[service_index].frontend_families;
    return same ? &old : nullptr;
  }

  void CopyBackendsOf(uint32_t service_index, const ServiceEntry& old) {
    ServiceEntry& service = tables_->services_[service_index];
    const auto entries = BackendsOf(*previous_, old);
    const size_t first = tables_->backends_.size();
    tables_->backends_.insert(tables_->backends_.end(), entries.begin(), entries.end());
    if (!entries.empty() && entries.front().service_index != service_index) {
      for (size_t i = first; i < tables_->backends_.size(); ++i) {
        tables_->backends_[i].service_index = service_index;
      }
    }
    if (HasTunnels(service)) {
      tables_->tunnels_.resize(snapshot_.backends().size());
      std::copy_n(previous_->tunnels_.begin() + old.first_backend, old.backend_count,
                  tables_->tunnels_.begin() + service.first_backend);
    }
    service.backends_left_out = old.backends_left_out;
    same_indices_ = same_indices_ && service.first_backend == old.first_backend;
  }

  void AddBackendsOf(uint32_t service_index) {
    ServiceEntry& service = tables_->services_[service_index];
    const ServiceEntry* old = before_[service_index].service;
    uint32_t next = old == nullptr ? 0 : old->first_backend;
    if (HasTunnels(service)) tables_->tunnels_.resize(snapshot_.backends().size());
    mtu_checked_ = kNoIndex;
    for (uint32_t local = 0; local < service.backend_count; ++local) {
      const uint32_t index = service.first_backend + local;
      const BackendRecord& record = snapshot_.backends()[index];
      BackendEntry& entry = tables_->backends_.emplace_back();
      entry.service_index = service_index;
      const bool port_known = FillBackend(record, service, &entry);
      const LeftOut reason = port_known ? CheckEgressPath(index) : LeftOut::k_interface_no_port;
      LeaveOut(reason, &service, &entry);
      const BackendEntry* before = BackendBefore(record.id, &next);
      entry.counter_index = before == nullptr ? kNoIndex : before->counter_index;
      if (before == nullptr) new_backends_.push_back(index);
      same_indices_ = same_indices_ && before == &previous_->backends()[index];
    }
  }

  // The backend in the previous generation, or null. Looks at `*next` first, and then sets `*next`
  // to the index after the backend.
  const BackendEntry* BackendBefore(uint32_t id, uint32_t* next) const {
    if (previous_ == nullptr) return nullptr;
    const auto old = previous_->backends();
    const BackendEntry* found =
        *next < old.size() && old[*next].id == id ? &old[*next] : previous_->FindBackend(id);
    if (found != nullptr) *next = static_cast<uint32_t>(found - old.data()) + 1;
    return found;
  }

  // False: its next hop's interface is not a port.
  bool FillBackend(const BackendRecord& record, const ServiceEntry& service,
                   BackendEntry* entry) const {
    entry->id = record.id;
    entry->state = static_cast<BackendState>(record.state);
    entry->weight = record.weight;
    entry->port = record.port;
    entry->family = record.family;
    std::memcpy(entry->address, record.address, sizeof(entry->address));
    if (record.next_hop_index == kNoNextHop) return true;
    const Hop hop = HopOf(snapshot_.next_hops()[record.next_hop_index]);
    if (!hop.port_known) return false;
    std::memcpy(entry->destination_mac, hop.destination_mac, sizeof(hop.destination_mac));
    std::memcpy(entry->source_mac, hop.source_mac, sizeof(hop.source_mac));
    entry->egress_port = hop.egress_port;
    entry->vlan = hop.vlan;
    entry->has_next_hop = true;
    if (hop.vlan == 0) entry->fast_path = FastPathOf(service, record.family);
    return true;
  }

  // A backend that is left out gets no new flows. It keeps its flows, and their packets are
  // dropped. If the cause ends soon, as with a flapping route, the flows continue. The health check
  // decides whether they should go to other backends.
  static void LeaveOut(LeftOut reason, ServiceEntry* service, BackendEntry* entry) {
    if (reason == LeftOut::kNo) return;
    ++service->backends_left_out;
    entry->left_out = reason;
    entry->has_next_hop = false;
    entry->fast_path = FastPath::kNone;
    if (entry->state == BackendState::kActive) entry->state = BackendState::kDraining;
  }

  // The port that a next hop names; kIngressPort if it names none; no value if there is no such
  // port.
  std::optional<uint16_t> PortOf(const NextHopRecord& hop) const {
    const std::string_view interface(hop.interface, strnlen(hop.interface, sizeof(hop.interface)));
    if (interface.empty()) return kIngressPort;
    const auto port = std::find_if(ports_.begin(), ports_.end(), [&](const EgressPort& candidate) {
      return candidate.interface == interface;
    });
    if (port == ports_.end()) return std::nullopt;
    return static_cast<uint16_t>(port - ports_.begin());
  }

  // Checks whether the ports can carry the backend's packets, and makes its tunnel, if it has one.
  // REQUIRES that its next hop's port is known.
  LeftOut CheckEgressPath(uint32_t index) {
    const BackendEntry& entry = tables_->backends_[index];
    const BackendRecord& record = snapshot_.backends()[index];
    const ServiceRecord& service = snapshot_.services()[entry.service_index];
    const ModeDescriptor& mode = ModeOf(service);
    if (mode.translates_replies && !own_address_[record.family == 4 ? 0 : 1]) {
      return LeftOut::k_no_own_address;
    }
    const EgressPath departure{snapshot_, service, record, entry.egress_port, ports_};
    const LeftOut mtu =
        CheckMtu(departure, tables_->services_[entry.service_index].frontend_families);
    if (mtu != LeftOut::kNo || !mode.is_tunnel()) return mtu;
    return MakeBackendTunnel(departure, &tables_->tunnels_[index]);
  }

  // The result depends only on the service, the port and the backend's family, which are nearly
  // always those of the last backend.
  LeftOut CheckMtu(const EgressPath& departure, uint8_t families) {
    const uint32_t kind = uint32_t{departure.egress_port} << 8 | departure.backend.family;
    if (kind == mtu_checked_) return mtu_result_;
    mtu_checked_ = kind;
    mtu_result_ = LeftOut::kNo;
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      if ((families & (family == Family::kIpv4 ? 1 : 2)) == 0) continue;
      if (mtu_result_ == LeftOut::kNo) mtu_result_ = CheckBackendMtu(departure, family);
    }
    return mtu_result_;
  }

  Status AddNat() {
    ASSIGN_OR_RETURN(tables_->nat_, NatTable::Build(snapshot_, own_address_));
    for (const EgressPort& port : ports_) {
      tables_->own_addresses_.insert(tables_->own_addresses_.end(), port.addresses.begin(),
                                     port.addresses.end());
    }
    const SnapshotHeader& header = snapshot_.header();
    SetClientHop(header.client_next_hop_v4, &tables_->client_hops_[0]);
    SetClientHop(header.client_next_hop_v6, &tables_->client_hops_[1]);
    return {};
  }

  // A port's configured gateway has priority over the control plane's client next hop. That is the
  // host's default route, which may leave by an interface that is not a port (management). Then no
  // reply can be sent, but the snapshot is not refused, since other services' changes must take
  // effect.
  void SetClientHop(uint32_t next_hop_index, ClientHop* hop) const {
    for (uint16_t port = 0; port < ports_.size(); ++port) {
      if (!ports_[port].gateway) continue;
      std::memcpy(hop->destination_mac, ports_[port].gateway->bytes.data(), 6);
      hop->egress_port = port;
      hop->known = true;
      return;
    }
    if (next_hop_index == kNoNextHop) return;
    const NextHopRecord& record = snapshot_.next_hops()[next_hop_index];
    const std::optional<uint16_t> port = PortOf(record);
    if (!port) return;
    std::memcpy(hop->destination_mac, record.mac, sizeof(record.mac));
    hop->egress_port = *port;
    hop->vlan = record.vlan;
    hop->known = true;
  }

  void AddIds() {
    if (same_indices_) {
      tables_->ids_ = previous_->ids_;
    } else {
      auto ids = std::make_shared<std::vector<ForwardingTables::IdEntry>>(
          std::bit_ceil(tables_->backends_.size() * 2 + 2));
      tables_->id_mask_ = ids->size() - 1;
      for (uint32_t index = 0; index < tables_->backends_.size(); ++index) {
        const uint32_t id = tables_->backends_[index].id;
        uint64_t i = tables_->HomeOf(id);
        while ((*ids)[i].id != 0) i = (i + 1) & tables_->id_mask_;
        (*ids)[i] = {id, index};
      }
      tables_->ids_ = std::move(ids);
    }
    tables_->first_id_ = tables_->ids_->data();
    tables_->id_mask_ = tables_->ids_->size() - 1;
  }

  // Services and backends of the previous generation keep their counter indexes.
  Status AssignCounters(CounterIndices* backend_indices, CounterIndices* service_indices) {
    for (size_t s = 0; s < before_.size(); ++s) {
      ServiceEntry& service = tables_->services_[s];
      const ServiceEntry* old = before_[s].service;
      service.counter_index =
          old == nullptr ? service_indices->Assign(service.id) : old->counter_index;
      if (service.counter_index == kNoIndex) {
        return ResourceExhausted("service " + service.name + ": all " +
                                 std::to_string(service_indices->capacity()) +
                                 " counter indexes of services are in use");
      }
    }
    for (const uint32_t index : new_backends_) {
      BackendEntry& backend = tables_->backends_[index];
      backend.counter_index = backend_indices->Assign(backend.id);
      if (backend.counter_index == kNoIndex) {
        return ResourceExhausted("backend id " + std::to_string(backend.id) + ": all " +
                                 std::to_string(backend_indices->capacity()) +
                                 " counter indexes of backends are in use");
      }
    }
    return {};
  }

  void AddSlots() {
    for (size_t s = 0; s < before_.size(); ++s) {
      ServiceEntry& service = tables_->services_[s];
      const ServiceEntry* old = before_[s].service;
      if (before_[s].may_share) {
        service.slot_table = old->slot_table;
        ++stats_.services_shared;
      } else {
        service.slot_table = MakeSlots(service, old);
        ++stats_.services_rebuilt;
        stats_.slots_changed += CountChanged(service, old);
      }
      service.slots = service.slot_table->words();
    }
  }

  std::span<const BackendEntry> BackendsOf(const ForwardingTables& tables,
                                           const ServiceEntry& service) const {
    return tables.backends().subspan(service.first_backend, service.backend_count);
  }

  // True if every flow has the same slot as before.
  bool SameSlots(const ServiceEntry& service, const ServiceEntry& old) const {
    return previous_->hash_seed() == tables_->hash_seed_ && old.slot_count == service.slot_count &&
           old.hash_policy == service.hash_policy;
  }

  bool MayShare(const ServiceEntry& service, const ServiceEntry& old) const {
    const auto now = BackendsOf(*tables_, service);
    const auto then = BackendsOf(*previous_, old);
    // Unsettled slots may name backends that own no slot, so then all ids must be the same.
    return SameSlots(service, old) && SameOwners(now, then) &&
           (old.slot_table->all_settled() || (SameIds(now, then) && Tracks(service)));
  }

  // `old`: the service in the previous generation, or null.
  std::shared_ptr<SlotTable> MakeSlots(const ServiceEntry& service, const ServiceEntry* old) const {
    const auto backends = BackendsOf(*tables_, service);
    std::vector<MaglevBackend> members;
    members.reserve(backends.size());
    for (size_t i = 0; i < backends.size(); ++i) {
      members.push_back({IdentityOf(backends[i], tables_->hash_seed_), EffectiveWeight(backends[i]),
                         static_cast<uint16_t>(i)});
    }
    const std::vector<uint16_t> owners =
        BuildMaglev(members, service.slot_count, tables_->hash_seed_);
    if (!Tracks(service)) return std::make_shared<SlotTable>(owners);
    if (old == nullptr) return RestoreSlots(service, owners);
    if (!SameSlots(service, *old)) return std::make_shared<SlotTable>(owners);
    const std::vector<uint16_t> renumbered = Renumbered(service, *old);
    return std::make_shared<SlotTable>(
        *old->slot_table, owners,
        SlotChange{renumbered, past_.now_tick, service.idle_ticks, FormerTicksOf(service)});
  }

  std::shared_ptr<SlotTable> RestoreSlots(const ServiceEntry& service,
                                          std::span<const uint16_t> owners) const {
    std::vector<RestoredSlot> restored;
    for (const SavedSlots& saved : past_.saved) {
      if (saved.service_id != service.id || saved.hash_seed != tables_->hash_seed_ ||
          saved.slot_count != service.slot_count || saved.hash_policy != service.hash_policy) {
        continue;
      }
      const auto local = [&](uint32_t id) {
        return tables_->LocalIndexOf(service, tables_->FindBackend(id));
      };
      for (const SavedSlot& slot : saved.slots) {
        RestoredSlot& back = restored.emplace_back();
        back.index = slot.index;
        back.since_tick = slot.since_tick;
        back.slot = {local(slot.current_id), local(slot.stable_id), slot.state};
        for (uint32_t n = 0; n < kMaxFormers && slot.formers[n].id != 0; ++n) {
          back.formers.owners[n] = local(slot.formers[n].id);
          back.formers.until_tick[n] = slot.formers[n].until_tick;
        }
      }
      break;
    }
    return std::make_shared<SlotTable>(
        owners, restored,
        SlotChange{{}, past_.now_tick, service.idle_ticks, FormerTicksOf(service)});
  }

  // The new local index of each backend, by its old one; kNoOwner if it was deleted.
  std::vector<uint16_t> Renumbered(const ServiceEntry& service, const ServiceEntry& old) const {
    std::vector<uint16_t> renumbered;
    renumbered.reserve(old.backend_count);
    for (const BackendEntry& backend : BackendsOf(*previous_, old)) {
      renumbered.push_back(tables_->LocalIndexOf(service, tables_->FindBackend(backend.id)));
    }
    return renumbered;
  }

  // The number of slots whose owner is another endpoint than before; all slots if there is nothing
  // to compare with.
  uint32_t CountChanged(const ServiceEntry& service, const ServiceEntry* old) const {
    if (old == nullptr || old->slot_count != service.slot_count) return service.slot_count;
    const auto now = BackendsOf(*tables_, service);
    const auto then = BackendsOf(*previous_, *old);
    uint32_t changed = 0;
    for (uint32_t i = 0; i < service.slot_count; ++i) {
      const uint16_t a = service.slot_table->Load(i).current;
      const uint16_t b = old->slot_table->Load(i).current;
      const bool same = a == kNoOwner || b == kNoOwner ? a == b : SameEndpoint(now[a], then[b]);
      changed += same ? 0 : 1;
    }
    return changed;
  }

  const SnapshotView& snapshot_;
  const ForwardingTables::Past past_;
  const ForwardingTables* previous_;
  std::span<const EgressPort> ports_;
  const NatFamilies own_address_;
  std::unique_ptr<ForwardingTables> tables_;
  std::vector<Before> before_;          // by service index
  uint32_t mtu_checked_ = kNoIndex;     // the last backend's port and family
  LeftOut mtu_result_ = LeftOut::kNo;   // CheckMtu's result for these
  std::vector<uint32_t> new_backends_;  // indices of backends that the previous generation has not
  bool same_indices_ = false;           // each backend has the index that it had before
  ForwardingTables::BuildStats stats_;
};

Result<std::unique_ptr<ForwardingTables>> ForwardingTables::Build(
    const SnapshotView& snapshot, const Past& past, std::span<const EgressPort> ports,
    CounterIndices* backend_indices, CounterIndices* service_indices, BuildStats* stats) {
  CHECK(ports.size() < kIngressPort);
  return TablesBuilder(snapshot, past, ports).Build(backend_indices, service_indices, stats);
}

bool ForwardingTables::NeedFlowTable() const {
  return std::any_of(services_.begin(), services_.end(), [](const ServiceEntry& service) {
    return !service.records_only_differences || !service.slot_table->all_settled();
  });
}

SavedSlots ForwardingTables::SaveSlots(const ServiceEntry& service) const {
  SavedSlots saved{service.id, service.hash_policy, service.slot_count, hash_seed_, {}};
  const auto id_of = [&](uint16_t owner) {
    return owner == kNoOwner ? 0 : backends_[service.first_backend + owner].id;
  };
  const auto unsettled = service.slot_table->unsettled();
  saved.slots.reserve(unsettled.size());
  for (const UnsettledSlot& slot : unsettled) {
    const Slot word = service.slot_table->Load(slot.index);
    SavedSlot& last = saved.slots.emplace_back();
    last = {slot.index, word.state, slot.since_tick, id_of(word.current), id_of(word.stable), {}};
    const SlotFormers* formers = service.slot_table->FormersOf(slot.index);
    if (formers == nullptr) continue;
    for (uint32_t n = 0; n < kMaxFormers && formers->owners[n] != kNoOwner; ++n) {
      last.formers[n] = {id_of(formers->owners[n]), formers->until_tick[n]};
    }
  }
  return saved;
}

}  // namespace fairlead
