#include "lib/snapshot/assembler.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "lib/base/check.h"
#include "lib/snapshot/validator.h"

namespace fairlead {
namespace {

NextHopRecord RecordOf(const SnapshotNextHop& hop) {
  NextHopRecord record{};
  std::copy(hop.mac.bytes.begin(), hop.mac.bytes.end(), record.mac);
  record.vlan = hop.vlan;
  std::copy_n(hop.interface.begin(), std::min(hop.interface.size(), sizeof(record.interface) - 1),
              record.interface);
  return record;
}

struct NextHopOrder {
  bool operator()(const NextHopRecord& a, const NextHopRecord& b) const {
    if (const int order = std::memcmp(a.mac, b.mac, sizeof(a.mac)); order != 0) return order < 0;
    if (a.vlan != b.vlan) return a.vlan < b.vlan;
    return std::memcmp(a.interface, b.interface, sizeof(a.interface)) < 0;
  }
};

struct NextHopHash {
  size_t operator()(const NextHopRecord& record) const {
    return XXH3_64bits(&record, sizeof(record));
  }
};

struct NextHopEqual {
  bool operator()(const NextHopRecord& a, const NextHopRecord& b) const {
    return std::memcmp(&a, &b, sizeof(a)) == 0;
  }
};

std::tuple<uint8_t, std::array<uint8_t, 16>, uint8_t, uint16_t, uint16_t, uint16_t> Key(
    const FrontendRecord& record) {
  std::array<uint8_t, 16> address;
  std::copy(std::begin(record.address), std::end(record.address), address.begin());
  // The wider range first, a port alone last.
  return {record.family,
          address,
          record.protocol,
          record.port,
          static_cast<uint16_t>(~record.last_port),
          record.service_index};
}

FrontendRecord RecordOf(const Frontend& frontend) {
  FrontendRecord record{};
  std::copy(frontend.address.bytes().begin(), frontend.address.bytes().end(), record.address);
  record.family = static_cast<uint8_t>(frontend.address.family());
  record.protocol = static_cast<uint8_t>(frontend.protocol);
  record.port = frontend.port;
  record.last_port = frontend.last_port;
  return record;
}

// Without name_offset and first_backend.
ServiceRecord RecordOf(const SnapshotService& service) {
  ServiceRecord record{};
  record.name_length = static_cast<uint16_t>(service.name.size());
  record.mode = static_cast<uint8_t>(service.mode);
  record.hash_policy = static_cast<uint8_t>(service.hash_policy);
  record.tracking_tcp = static_cast<uint8_t>(service.tracking_tcp);
  record.tracking_udp = static_cast<uint8_t>(service.tracking_udp);
  record.gue_port = service.gue_port;
  record.id = service.id;
  record.slot_count = service.slot_count;
  record.idle_timeout_tcp_ms = service.idle_timeout_tcp_ms;
  record.idle_timeout_udp_ms = service.idle_timeout_udp_ms;
  record.backend_count = static_cast<uint32_t>(service.backends.size());
  record.flags = service.flags;
  return record;
}

// Without its next hop.
BackendRecord RecordOf(const SnapshotBackend& backend) {
  BackendRecord record{};
  const IpAddress& address = backend.endpoint.address;
  std::copy(address.bytes().begin(), address.bytes().end(), record.address);
  record.family = static_cast<uint8_t>(address.family());
  record.state = static_cast<uint8_t>(backend.state);
  record.port = backend.endpoint.port;
  record.weight = backend.weight;
  record.id = backend.id;
  record.next_hop_index = kNoNextHop;
  return record;
}

constexpr auto kNameOf = [](const auto& service) -> std::string_view { return service->name; };

// Places an image's sections, one after the other.
class Layout {
 public:
  template <typename Record>
  SectionRange Place(size_t count) {
    const SectionRange range{at_, count};
    at_ += (count * sizeof(Record) + 7) / 8 * 8;
    return range;
  }
  size_t total_bytes() const { return at_; }

 private:
  size_t at_ = sizeof(SnapshotHeader);
};

}  // namespace

struct SnapshotAssembler::Service {
  std::string name;
  ServiceRecord record;
  std::vector<FrontendRecord> frontends;
  std::vector<BackendRecord> backends;  // by endpoint; next_hop_index is a handle of NextHops
  // Its position in the image since the last WriteAll().
  size_t index = 0;
  uint32_t name_offset = 0;
  uint32_t first_backend = 0;
  bool is_changed = false;               // it is in changed_
  bool all_changed = false;              // everything may have changed
  std::vector<size_t> backends_changed;  // indices
};

class SnapshotAssembler::NextHops {
 public:
  // The record's handle, valid until Release().
  uint32_t Take(const NextHopRecord& record) {
    // Allocates first, so that a lack of memory changes nothing.
    if (free_.empty()) {
      free_.reserve(1);
      uses_.push_back(0);
      free_.push_back(static_cast<uint32_t>(uses_.size() - 1));
    }
    if (added_.size() == added_.capacity()) added_.reserve(2 * added_.size() + 1);
    const auto [found, is_new] = handles_.try_emplace(record, free_.back());
    if (is_new) {
      free_.pop_back();
      added_.push_back({record, found->second});
    }
    ++uses_[found->second];
    return found->second;
  }
  uint32_t Take(const std::optional<SnapshotNextHop>& hop) {
    return hop ? Take(RecordOf(*hop)) : kNoNextHop;
  }
  void Release(uint32_t handle) {
    if (handle != kNoNextHop && --uses_[handle] == 0) any_unused_ = true;
  }

  // Numbers the next hops in their order. False: no number changed.
  bool Number() {
    if (added_.empty() && !any_unused_) return false;
    // Allocates first, so that a lack of memory changes nothing.
    indices_.resize(uses_.size());
    free_.reserve(uses_.size());
    std::ranges::sort(added_, NextHopOrder{}, &Numbered::record);
    std::vector<Numbered> merged;
    merged.reserve(sorted_.size() + added_.size());
    std::ranges::merge(sorted_, added_, std::back_inserter(merged), NextHopOrder{},
                       &Numbered::record, &Numbered::record);
    std::erase_if(merged, [this](const Numbered& hop) {
      if (uses_[hop.handle] != 0) return false;
      handles_.erase(hop.record);
      free_.push_back(hop.handle);
      return true;
    });
    sorted_ = std::move(merged);
    added_.clear();
    any_unused_ = false;
    for (uint32_t i = 0; i < sorted_.size(); ++i) indices_[sorted_[i].handle] = i;
    return true;
  }
  // Results of the last Number().
  size_t size() const { return sorted_.size(); }
  uint32_t IndexOf(uint32_t handle) const {
    return handle == kNoNextHop ? kNoNextHop : indices_[handle];
  }
  void Write(NextHopRecord* records) const {
    for (const Numbered& hop : sorted_) *records++ = hop.record;
  }

 private:
  struct Numbered {
    NextHopRecord record;
    uint32_t handle;
  };
  std::unordered_map<NextHopRecord, uint32_t, NextHopHash, NextHopEqual> handles_;
  std::vector<uint32_t> uses_;  // by handle
  std::vector<uint32_t> free_;
  std::vector<Numbered> sorted_;
  std::vector<Numbered> added_;  // since the last Number()
  bool any_unused_ = false;
  std::vector<uint32_t> indices_;  // by handle
};

SnapshotAssembler::SnapshotAssembler() : next_hops_(std::make_unique<NextHops>()) {}
SnapshotAssembler::~SnapshotAssembler() = default;

std::unique_ptr<SnapshotAssembler::Service> SnapshotAssembler::Make(
    const SnapshotService& service) {
  auto made = std::make_unique<Service>();
  made->name = service.name;
  made->record = RecordOf(service);
  made->frontends.reserve(service.frontends.size());
  for (const Frontend& frontend : service.frontends) {
    made->frontends.push_back(RecordOf(frontend));
  }
  std::vector<const SnapshotBackend*> backends;
  backends.reserve(service.backends.size());
  for (const SnapshotBackend& backend : service.backends) backends.push_back(&backend);
  std::ranges::sort(backends, {}, &SnapshotBackend::endpoint);
  made->backends.reserve(backends.size());
  for (const SnapshotBackend* backend : backends) {
    made->backends.push_back(RecordOf(*backend));
    made->backends.back().next_hop_index = next_hops_->Take(backend->next_hop);
  }
  return made;
}

void SnapshotAssembler::Release(const Service& service) {
  for (const BackendRecord& backend : service.backends) {
    next_hops_->Release(backend.next_hop_index);
  }
}

void SnapshotAssembler::Add(const SnapshotService& service) {
  const auto place =
      std::ranges::upper_bound(services_, std::string_view(service.name), {}, kNameOf);
  services_.insert(place, Make(service));
  frontends_changed_ = layout_changed_ = true;
}

void SnapshotAssembler::Put(const SnapshotService& service) {
  const auto place =
      std::ranges::lower_bound(services_, std::string_view(service.name), {}, kNameOf);
  if (place == services_.end() || (*place)->name != service.name) return Add(service);
  std::unique_ptr<Service> made = Make(service);
  Release(**place);
  const auto same = [](const FrontendRecord& a, const FrontendRecord& b) {
    return std::memcmp(&a, &b, sizeof(a)) == 0;
  };
  if (!std::ranges::equal((*place)->frontends, made->frontends, same)) frontends_changed_ = true;
  if ((*place)->backends.size() != made->backends.size()) layout_changed_ = true;
  made->index = (*place)->index;
  made->name_offset = (*place)->name_offset;
  made->first_backend = (*place)->first_backend;
  made->is_changed = made->all_changed = true;
  std::erase(changed_, place->get());
  changed_.push_back(made.get());
  *place = std::move(made);
}

void SnapshotAssembler::Remove(std::string_view name) {
  const auto place = std::ranges::lower_bound(services_, name, {}, kNameOf);
  if (place == services_.end() || (*place)->name != name) return;
  Release(**place);
  std::erase(changed_, place->get());
  services_.erase(place);
  frontends_changed_ = layout_changed_ = true;
}

void SnapshotAssembler::PutBackend(std::string_view service, const SnapshotBackend& backend) {
  const auto place = std::ranges::lower_bound(services_, service, {}, kNameOf);
  CHECK(place != services_.end() && (*place)->name == service);
  BackendRecord record = RecordOf(backend);
  const auto order = [](const BackendRecord& a, const BackendRecord& b) {
    return std::tuple(a.family, std::to_array(a.address), a.port) <
           std::tuple(b.family, std::to_array(b.address), b.port);
  };
  const auto found =
      std::lower_bound((*place)->backends.begin(), (*place)->backends.end(), record, order);
  CHECK(found != (*place)->backends.end() && !order(record, *found));
  record.next_hop_index = next_hops_->Take(backend.next_hop);
  next_hops_->Release(found->next_hop_index);
  *found = record;
  (*place)->backends_changed.push_back(static_cast<size_t>(found - (*place)->backends.begin()));
  if (!std::exchange((*place)->is_changed, true)) changed_.push_back(place->get());
}

void SnapshotAssembler::Clear() {
  changed_.clear();
  services_.clear();
  next_hops_ = std::make_unique<NextHops>();
  client_v4_ = client_v6_ = kNoNextHop;
  frontends_.clear();
  frontends_changed_ = false;
  layout_changed_ = true;
}

void SnapshotAssembler::SortFrontends() {
  if (!frontends_changed_) return;
  frontends_.clear();
  uint16_t index = 0;
  for (const auto& service : services_) {
    for (FrontendRecord record : service->frontends) {
      record.service_index = index;
      frontends_.push_back(record);
    }
    ++index;
  }
  std::ranges::sort(frontends_, {}, Key);
}

// Takes the new one before it releases the old one, since both may be the same.
void SnapshotAssembler::TakeClientNextHop(const std::optional<SnapshotNextHop>& hop,
                                          uint32_t* handle) {
  next_hops_->Release(std::exchange(*handle, next_hops_->Take(hop)));
}

SnapshotHeader SnapshotAssembler::MakeHeader(const SnapshotGlobals& globals) const {
  SnapshotHeader header{};
  header.magic = kSnapshotMagic;
  header.version = kSnapshotVersion;
  header.header_bytes = sizeof(SnapshotHeader);
  header.generation = globals.generation;
  header.hash_seed = globals.hash_seed;
  header.change_id = globals.change_id;
  header.client_next_hop_v4 = next_hops_->IndexOf(client_v4_);
  header.client_next_hop_v6 = next_hops_->IndexOf(client_v6_);
  return header;
}

namespace {

ServiceRecord PlacedRecord(const auto& service) {
  ServiceRecord record = service.record;
  record.name_offset = service.name_offset;
  record.first_backend = service.first_backend;
  return record;
}

}  // namespace

void SnapshotAssembler::WriteHeader(SnapshotHeader header) {
  header.digest = 0;
  std::memcpy(words_.data(), &header, sizeof(header));
  header.digest = SnapshotDigest(image());
  std::memcpy(words_.data(), &header, sizeof(header));
  NoteWrite(0, sizeof(header));
}

void SnapshotAssembler::WriteAll(SnapshotHeader* header) {
  size_t backend_count = 0;
  size_t name_bytes = 0;
  for (size_t i = 0; i < services_.size(); ++i) {
    Service& service = *services_[i];
    service.index = i;
    service.name_offset = static_cast<uint32_t>(name_bytes);
    service.first_backend = static_cast<uint32_t>(backend_count);
    service.is_changed = service.all_changed = false;
    service.backends_changed.clear();
    backend_count += service.backends.size();
    name_bytes += service.name.size();
  }
  changed_.clear();
  Layout layout;
  header->frontends = layout.Place<FrontendRecord>(frontends_.size());
  header->services = layout.Place<ServiceRecord>(services_.size());
  header->backends = layout.Place<BackendRecord>(backend_count);
  header->next_hops = layout.Place<NextHopRecord>(next_hops_->size());
  header->names = layout.Place<char>(name_bytes);
  header->total_bytes = layout.total_bytes();
  words_.resize(header->total_bytes / 8);
  words_.back() = 0;  // the padding after the names
  auto* const start = reinterpret_cast<std::byte*>(words_.data());
  std::ranges::copy(frontends_,
                    reinterpret_cast<FrontendRecord*>(start + header->frontends.offset_bytes));
  next_hops_->Write(reinterpret_cast<NextHopRecord*>(start + header->next_hops.offset_bytes));
  auto* services = reinterpret_cast<ServiceRecord*>(start + header->services.offset_bytes);
  auto* backends = reinterpret_cast<BackendRecord*>(start + header->backends.offset_bytes);
  auto* names = reinterpret_cast<char*>(start + header->names.offset_bytes);
  for (const auto& service : services_) {
    *services++ = PlacedRecord(*service);
    names = std::ranges::copy(service->name, names).out;
    for (const BackendRecord& backend : service->backends) {
      *backends = backend;
      backends++->next_hop_index = next_hops_->IndexOf(backend.next_hop_index);
    }
  }
  writes_ = {.all = true};
}

void SnapshotAssembler::NoteWrite(size_t offset_bytes, size_t length_bytes) {
  if (writes_.all) return;
  if (writes_.ranges.size() == kMaxWrites) {
    writes_ = {.all = true};
  } else {
    writes_.ranges.push_back({offset_bytes, length_bytes});
  }
}

template <typename Record>
bool SnapshotAssembler::Write(uint64_t offset_bytes, const Record& record) {
  auto* const place = reinterpret_cast<std::byte*>(words_.data()) + offset_bytes;
  if (std::memcmp(place, &record, sizeof(record)) == 0) return false;
  NoteWrite(offset_bytes, sizeof(record));
  std::memcpy(place, &record, sizeof(record));
  return true;
}

bool SnapshotAssembler::WriteBackend(const SnapshotHeader& header, const Service& service,
                                     size_t index) {
  BackendRecord record = service.backends[index];
  record.next_hop_index = next_hops_->IndexOf(record.next_hop_index);
  return Write(header.backends.offset_bytes + (service.first_backend + index) * sizeof(record),
               record);
}

bool SnapshotAssembler::WriteAgain(const SnapshotHeader& header, Service* service) {
  bool differs = false;
  if (service->all_changed) {
    differs = Write(header.services.offset_bytes + service->index * sizeof(ServiceRecord),
                    PlacedRecord(*service));
    for (size_t i = 0; i < service->backends.size(); ++i) {
      differs = WriteBackend(header, *service, i) || differs;
    }
  }
  for (const size_t i : service->backends_changed) {
    differs = WriteBackend(header, *service, i) || differs;
  }
  service->is_changed = service->all_changed = false;
  service->backends_changed.clear();
  return differs;
}

bool SnapshotAssembler::Assemble(const SnapshotGlobals& globals) {
  // layout_changed_ stays true until the end: after a lack of memory, the next call writes
  // everything.
  bool differs = std::exchange(layout_changed_, true);
  TakeClientNextHop(globals.client_next_hop_v4, &client_v4_);
  TakeClientNextHop(globals.client_next_hop_v6, &client_v6_);
  SortFrontends();
  differs = next_hops_->Number() || frontends_changed_ || differs;
  frontends_changed_ = false;
  SnapshotHeader header = MakeHeader(globals);
  if (differs) {
    WriteAll(&header);
  } else {
    SnapshotHeader before;
    std::memcpy(&before, words_.data(), sizeof(before));
    header.total_bytes = before.total_bytes;
    header.frontends = before.frontends;
    header.services = before.services;
    header.backends = before.backends;
    header.next_hops = before.next_hops;
    header.names = before.names;
    before.generation = header.generation;
    before.digest = header.digest;
    differs = std::memcmp(&header, &before, sizeof(header)) != 0;
    for (Service* service : changed_) differs = WriteAgain(header, service) || differs;
    changed_.clear();
  }
  WriteHeader(header);
  layout_changed_ = false;
  return differs;
}

}  // namespace fairlead
