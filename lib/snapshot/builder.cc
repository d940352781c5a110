#include "lib/snapshot/builder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

#include "lib/snapshot/validator.h"

namespace fairlead {
namespace {

template <typename T>
std::vector<const T*> SortedPointers(const std::vector<T>& values, auto key) {
  std::vector<const T*> pointers;
  pointers.reserve(values.size());
  for (const T& value : values) pointers.push_back(&value);
  std::sort(pointers.begin(), pointers.end(),
            [&](const T* a, const T* b) { return key(*a) < key(*b); });
  return pointers;
}

bool Fits(const std::optional<SnapshotNextHop>& hop) { return !hop || hop->interface.size() <= 15; }

// What the fixed-size records cannot hold is refused here; all else is the validator's to judge.
Status CheckFits(const SnapshotInput& input) {
  for (const auto* hop : {&input.client_next_hop_v4, &input.client_next_hop_v6}) {
    if (Fits(*hop)) continue;
    return InvalidArgument("snapshot: client next hop: interface " + (*hop)->interface +
                           " is longer than 15 bytes");
  }
  if (input.generation > kMaxGeneration) {
    return InvalidArgument("snapshot: generation " + std::to_string(input.generation) +
                           " is above " + std::to_string(kMaxGeneration));
  }
  if (input.services.size() > kMaxServices) {
    return InvalidArgument("snapshot: " + std::to_string(input.services.size()) +
                           " services are more than " + std::to_string(kMaxServices));
  }
  for (const SnapshotService& service : input.services) {
    if (service.name.size() > 255) {
      return InvalidArgument("snapshot: service name of " + std::to_string(service.name.size()) +
                             " bytes is longer than 255");
    }
    for (const SnapshotBackend& backend : service.backends) {
      if (!Fits(backend.next_hop)) {
        return InvalidArgument("snapshot: service " + service.name + ", backend " +
                               backend.endpoint.ToString() + ": interface " +
                               backend.next_hop->interface + " is longer than 15 bytes");
      }
    }
  }
  return {};
}

class Writer {
 public:
  explicit Writer(const SnapshotInput& input) : input_(input) {}

  std::vector<uint64_t> Write() {
    CollectNextHops();
    for (const SnapshotService* service :
         SortedPointers(input_.services, [](const auto& s) { return std::string_view(s.name); })) {
      AddService(*service);
    }
    std::sort(frontends_.begin(), frontends_.end(),
              [](const FrontendRecord& a, const FrontendRecord& b) { return Key(a) < Key(b); });
    return Assemble();
  }

 private:
  static std::tuple<uint8_t, std::array<uint8_t, 16>, uint8_t, uint16_t, uint16_t, uint16_t> Key(
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

  void CollectNextHops() {
    for (const auto* hop : {&input_.client_next_hop_v4, &input_.client_next_hop_v6}) {
      if (*hop) hops_.push_back(**hop);
    }
    for (const SnapshotService& service : input_.services) {
      for (const SnapshotBackend& backend : service.backends) {
        if (backend.next_hop) hops_.push_back(*backend.next_hop);
      }
    }
    std::sort(hops_.begin(), hops_.end());
    hops_.erase(std::unique(hops_.begin(), hops_.end()), hops_.end());
    for (const SnapshotNextHop& hop : hops_) {
      NextHopRecord record{};
      std::copy(hop.mac.bytes.begin(), hop.mac.bytes.end(), record.mac);
      record.vlan = hop.vlan;
      std::copy(hop.interface.begin(), hop.interface.end(), record.interface);
      next_hops_.push_back(record);
    }
  }

  uint32_t NextHopIndex(const std::optional<SnapshotNextHop>& hop) const {
    if (!hop) return kNoNextHop;
    return static_cast<uint32_t>(std::lower_bound(hops_.begin(), hops_.end(), *hop) -
                                 hops_.begin());
  }

  void AddService(const SnapshotService& service) {
    const auto service_index = static_cast<uint16_t>(services_.size());
    for (const Frontend& frontend : service.frontends) {
      FrontendRecord record{};
      std::copy(frontend.address.bytes().begin(), frontend.address.bytes().end(), record.address);
      record.family = static_cast<uint8_t>(frontend.address.family());
      record.protocol = static_cast<uint8_t>(frontend.protocol);
      record.port = frontend.port;
      record.last_port = frontend.last_port;
      record.service_index = service_index;
      frontends_.push_back(record);
    }
    ServiceRecord record{};
    record.name_offset = static_cast<uint32_t>(names_.size());
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
    record.first_backend = static_cast<uint32_t>(backends_.size());
    record.backend_count = static_cast<uint32_t>(service.backends.size());
    record.flags = service.flags;
    services_.push_back(record);
    names_ += service.name;
    for (const SnapshotBackend* backend :
         SortedPointers(service.backends, [](const auto& b) { return b.endpoint; })) {
      AddBackend(*backend);
    }
  }

  void AddBackend(const SnapshotBackend& backend) {
    BackendRecord record{};
    const IpAddress& address = backend.endpoint.address;
    std::copy(address.bytes().begin(), address.bytes().end(), record.address);
    record.family = static_cast<uint8_t>(address.family());
    record.state = static_cast<uint8_t>(backend.state);
    record.port = backend.endpoint.port;
    record.weight = backend.weight;
    record.id = backend.id;
    record.next_hop_index = NextHopIndex(backend.next_hop);
    backends_.push_back(record);
  }

  template <typename Record>
  static SectionRange Place(const Record* records, size_t count, std::vector<uint64_t>* words) {
    const SectionRange range{words->size() * 8, count};
    const size_t bytes = count * sizeof(Record);
    words->resize(words->size() + (bytes + 7) / 8);
    if (bytes > 0) {
      std::memcpy(reinterpret_cast<std::byte*>(words->data()) + range.offset_bytes, records, bytes);
    }
    return range;
  }

  std::vector<uint64_t> Assemble() const {
    std::vector<uint64_t> words(sizeof(SnapshotHeader) / 8);
    SnapshotHeader header{};
    header.magic = kSnapshotMagic;
    header.version = kSnapshotVersion;
    header.header_bytes = sizeof(SnapshotHeader);
    header.generation = input_.generation;
    header.hash_seed = input_.hash_seed;
    header.change_id = input_.change_id;
    header.client_next_hop_v4 = NextHopIndex(input_.client_next_hop_v4);
    header.client_next_hop_v6 = NextHopIndex(input_.client_next_hop_v6);
    header.frontends = Place(frontends_.data(), frontends_.size(), &words);
    header.services = Place(services_.data(), services_.size(), &words);
    header.backends = Place(backends_.data(), backends_.size(), &words);
    header.next_hops = Place(next_hops_.data(), next_hops_.size(), &words);
    header.names = Place(names_.data(), names_.size(), &words);
    header.total_bytes = words.size() * 8;
    std::memcpy(words.data(), &header, sizeof(header));
    header.digest = SnapshotDigest(std::as_bytes(std::span(words)));
    std::memcpy(words.data(), &header, sizeof(header));
    return words;
  }

  const SnapshotInput& input_;
  std::vector<SnapshotNextHop> hops_;  // sorted, distinct
  std::vector<FrontendRecord> frontends_;
  std::vector<ServiceRecord> services_;
  std::vector<BackendRecord> backends_;
  std::vector<NextHopRecord> next_hops_;
  std::string names_;
};

}  // namespace

std::span<const std::byte> SnapshotImage::bytes() const { return std::as_bytes(std::span(words_)); }

Result<SnapshotImage> BuildSnapshot(const SnapshotInput& input) {
  RETURN_IF_ERROR(CheckFits(input));
  SnapshotImage image(Writer(input).Write());
  RETURN_IF_ERROR(ValidateSnapshot(image.bytes()));
  return image;
}

Result<SnapshotImage> LoadSnapshot(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxSnapshotBytes) {
    return InvalidArgument("snapshot: length: " + std::to_string(bytes.size()) +
                           " is above the limit of " + std::to_string(kMaxSnapshotBytes));
  }
  std::vector<uint64_t> words((bytes.size() + 7) / 8);
  if (!bytes.empty()) std::memcpy(words.data(), bytes.data(), bytes.size());
  // The very length that came, so that a tail of a few bytes is refused rather than padded.
  RETURN_IF_ERROR(ValidateSnapshot(std::as_bytes(std::span(words)).first(bytes.size())));
  return SnapshotImage(std::move(words));
}

}  // namespace fairlead
