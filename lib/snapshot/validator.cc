#include "lib/snapshot/validator.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <compare>
#include <cstring>
#include <iterator>
#include <numeric>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "lib/base/utf8.h"
#include "lib/flow/flow_hash.h"
#include "lib/maglev/maglev_table.h"
#include "lib/mode/mode.h"
#include "lib/net/address.h"
#include "lib/net/port_nesting.h"
#include "lib/snapshot/format.h"
#include "lib/snapshot/view.h"

namespace fairlead {
namespace {

static_assert(std::endian::native == std::endian::little, "images are little-endian");

constexpr uint16_t kMaxNameLength = 255;
constexpr size_t kMaxInterfaceLength = 15;  // IFNAMSIZ - 1

// "snapshot: services[3].slot_count: 65536 is not a prime"
Status Refuse(std::string_view section, size_t index, std::string_view field, std::string value,
              std::string_view why) {
  std::string message = "snapshot: ";
  message.append(section).append("[").append(std::to_string(index)).append("].").append(field);
  message.append(": ").append(value).append(" ").append(why);
  return InvalidArgument(std::move(message));
}

Status RefuseHeader(std::string_view field, uint64_t value, const std::string& why) {
  return InvalidArgument("snapshot: " + std::string(field) + ": " + std::to_string(value) + " " +
                         why);
}

std::string Number(uint64_t value) { return std::to_string(value); }

uint64_t PaddedBytes(uint64_t bytes) { return (bytes + 7) & ~uint64_t{7}; }

// The sections must follow each other exactly, so that none overlap and no byte is unchecked.
class LayoutChecker {
 public:
  Status Section(std::string_view name, const SectionRange& range, uint64_t max_count,
                 uint64_t record_bytes, uint64_t total_bytes) {
    if (range.count > max_count) {
      return RefuseHeader(std::string(name) + ".count", range.count,
                          "is above the limit of " + Number(max_count));
    }
    if (range.offset_bytes != next_offset_) {
      return RefuseHeader(std::string(name) + ".offset_bytes", range.offset_bytes,
                          "is not " + Number(next_offset_) + ", where the section before it ends");
    }
    const uint64_t bytes = range.count * record_bytes;
    if (bytes > total_bytes - next_offset_) {
      return RefuseHeader(std::string(name) + ".count", range.count,
                          "records do not fit into the image");
    }
    next_offset_ += PaddedBytes(bytes);
    return {};
  }
  uint64_t next_offset() const { return next_offset_; }

 private:
  uint64_t next_offset_ = sizeof(SnapshotHeader);
};

Status CheckEnvelope(std::span<const std::byte> image, const SnapshotHeader& header) {
  if (header.magic != kSnapshotMagic) {
    return InvalidArgument("snapshot: magic: not a Fairlead snapshot image");
  }
  if (header.version < kOldestSnapshotVersion || header.version > kSnapshotVersion) {
    return RefuseHeader("version", header.version,
                        "is not within " + Number(kOldestSnapshotVersion) + ".." +
                            Number(kSnapshotVersion) + ", which this build reads");
  }
  if (header.header_bytes != sizeof(SnapshotHeader)) {
    return RefuseHeader("header_bytes", header.header_bytes,
                        "is not " + Number(sizeof(SnapshotHeader)));
  }
  if (header.total_bytes != image.size()) {
    return RefuseHeader("total_bytes", header.total_bytes,
                        "is not the image's length of " + Number(image.size()));
  }
  if (image.size() % 8 != 0) {
    return RefuseHeader("total_bytes", header.total_bytes, "is not a multiple of 8");
  }
  if (header.generation > kMaxGeneration) {
    return RefuseHeader("generation", header.generation, "is above " + Number(kMaxGeneration));
  }
  if (header.version == kOldestSnapshotVersion && header.change_id != 0) {
    return RefuseHeader("change_id", header.change_id, "is not 0, as it must be in version 2");
  }
  for (const uint64_t word : header.reserved) {
    if (word != 0) return RefuseHeader("reserved", word, "is not 0");
  }
  if (header.digest != SnapshotDigest(image)) {
    return InvalidArgument("snapshot: digest: the content is damaged");
  }
  return {};
}

Status CheckLayout(std::span<const std::byte> image, const SnapshotHeader& header) {
  LayoutChecker layout;
  const uint64_t total = header.total_bytes;
  RETURN_IF_ERROR(
      layout.Section("frontends", header.frontends, kMaxFrontends, sizeof(FrontendRecord), total));
  RETURN_IF_ERROR(
      layout.Section("services", header.services, kMaxServices, sizeof(ServiceRecord), total));
  RETURN_IF_ERROR(
      layout.Section("backends", header.backends, kMaxBackends, sizeof(BackendRecord), total));
  RETURN_IF_ERROR(
      layout.Section("next_hops", header.next_hops, kMaxBackends, sizeof(NextHopRecord), total));
  RETURN_IF_ERROR(
      layout.Section("names", header.names, uint64_t{kMaxServices} * kMaxNameLength, 1, total));
  if (layout.next_offset() != total) {
    return RefuseHeader("total_bytes", total,
                        "is not " + Number(layout.next_offset()) + ", where the sections end");
  }
  const uint64_t names_end = header.names.offset_bytes + header.names.count;
  for (uint64_t i = names_end; i < total; ++i) {
    if (image[i] != std::byte{0}) {
      return RefuseHeader("padding", std::to_integer<uint64_t>(image[i]), "after names is not 0");
    }
  }
  return {};
}

uint64_t LoadWord(const uint8_t* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

// Most addresses are IPv4. Their first byte tells whether they are in 0.0.0.0/8, 127/8, 224/4 or
// 240/4.
bool IsUsableAddress(const auto& record) {
  if (record.family != 4) return !AddressOf(record).IsUnusable();
  const uint8_t first = record.address[0];
  return first != 0 && first != 127 && first < 224;
}

// Shared by frontends and backends: checks the family, the zero padding after IPv4, and that the
// address is usable.
template <typename Record>
bool HasGoodAddress(const Record& record) {
  static_assert(sizeof(record.address) == 16);
  if (record.family == 4) {
    // The address is the low half of the first word. Everything else must be 0.
    if ((LoadWord(record.address) >> 32 | LoadWord(record.address + 8)) != 0) return false;
  } else if (record.family != 6) {
    return false;
  }
  return IsUsableAddress(record);
}

// The error for the record. REQUIRES !HasGoodAddress(record).
template <typename Record>
Status RefuseAddress(std::string_view section, size_t index, const Record& record) {
  if (record.family != 4 && record.family != 6) {
    return Refuse(section, index, "family", Number(record.family), "is neither 4 nor 6");
  }
  if (!IsUsableAddress(record)) {
    return Refuse(section, index, "address", AddressOf(record).ToString(),
                  "is not a usable unicast address");
  }
  const auto* behind = std::find_if(std::begin(record.address) + 4, std::end(record.address),
                                    [](uint8_t byte) { return byte != 0; });
  return Refuse(section, index, "address", Number(*behind), "after an IPv4 address is not 0");
}

std::strong_ordering CompareAddress(const auto& a, const auto& b) {
  if (const auto order = a.family <=> b.family; order != 0) return order;
  for (size_t at = 0; at < sizeof(a.address); at += 8) {
    const uint64_t x = __builtin_bswap64(LoadWord(a.address + at));
    const uint64_t y = __builtin_bswap64(LoadWord(b.address + at));
    if (x != y) return x <=> y;
  }
  return std::strong_ordering::equal;
}

std::strong_ordering Compare(const FrontendRecord& a, const FrontendRecord& b) {
  if (const auto order = CompareAddress(a, b); order != 0) return order;
  // The wider range first, a port alone last.
  return std::tuple(a.protocol, a.port, b.last_port) <=>
         std::tuple(b.protocol, b.port, a.last_port);
}

std::strong_ordering Compare(const BackendRecord& a, const BackendRecord& b) {
  if (const auto order = CompareAddress(a, b); order != 0) return order;
  return a.port <=> b.port;
}

// The defect of a record that is not greater than the one before it.
std::string_view OrderDefect(std::strong_ordering order) {
  return order == 0 ? "appears twice" : "is out of order";
}

// Ranges of one address and protocol must nest or be disjoint. REQUIRES frontends in order.
Status CheckNesting(const SnapshotView& view) {
  const auto records = view.frontends();
  PortNesting nesting;
  for (size_t i = 0; i < records.size(); ++i) {
    const FrontendRecord& record = records[i];
    if (i != 0 && (CompareAddress(records[i - 1], record) != 0 ||
                   records[i - 1].protocol != record.protocol)) {
      nesting.Reset();
    }
    if (record.last_port == 0) continue;
    const auto other = nesting.Add(record.port, record.last_port, i);
    if (!other) continue;
    return Refuse("frontends", i, "last_port", FrontendOf(record).ToString(),
                  "overlaps " + FrontendOf(records[*other]).ToString() + " partly");
  }
  return {};
}

Status CheckFrontends(const SnapshotView& view) {
  const auto records = view.frontends();
  for (size_t i = 0; i < records.size(); ++i) {
    const FrontendRecord& record = records[i];
    if (!HasGoodAddress(record)) return RefuseAddress("frontends", i, record);
    if (record.protocol != 6 && record.protocol != 17) {
      return Refuse("frontends", i, "protocol", Number(record.protocol), "is neither 6 nor 17");
    }
    if (record.service_index >= view.services().size()) {
      return Refuse("frontends", i, "service_index", Number(record.service_index),
                    "is not below the count of services, " + Number(view.services().size()));
    }
    if (record.last_port != 0 && (record.port == 0 || record.last_port <= record.port)) {
      return Refuse("frontends", i, "last_port", Number(record.last_port),
                    "does not end a range that begins at " + Number(record.port));
    }
    if (i == 0) continue;
    const auto order = Compare(records[i - 1], record);
    if (order < 0) continue;
    const std::string text = AddressOf(record).ToString() + " port " + Number(record.port) + "/" +
                             (record.protocol == 6 ? "tcp" : "udp");
    return Refuse("frontends", i, "address", text, OrderDefect(order));
  }
  return CheckNesting(view);
}

Status CheckServiceName(const SnapshotView& view, size_t index) {
  const ServiceRecord& record = view.services()[index];
  if (record.name_length == 0 || record.name_length > kMaxNameLength) {
    return Refuse("services", index, "name_length", Number(record.name_length),
                  "is not within 1.." + Number(kMaxNameLength));
  }
  if (uint64_t{record.name_offset} + record.name_length > view.header().names.count) {
    return Refuse("services", index, "name_offset", Number(record.name_offset),
                  "points past the end of names, " + Number(view.header().names.count) + " bytes");
  }
  const std::string_view name = view.name_of(record);
  if (!IsPrintableUtf8(name)) {
    return Refuse("services", index, "name", "(bytes at " + Number(record.name_offset) + ")",
                  "is not printable UTF-8");
  }
  if (index == 0) return {};
  const std::string_view before = view.name_of(view.services()[index - 1]);
  if (before == name) return Refuse("services", index, "name", std::string(name), "appears twice");
  if (before > name) return Refuse("services", index, "name", std::string(name), "is out of order");
  return {};
}

Status CheckServiceFlags(size_t index, const ServiceRecord& record, const ModeDescriptor& mode) {
  uint32_t known = kCommonServiceFlags;
  for (const ModeSetting& setting : kModeSettings) {
    known |= setting.flag;
    if ((record.flags & setting.flag) == 0 || mode.Allows(setting)) continue;
    return Refuse("services", index, "flags." + std::string(setting.name), "1",
                  "is not allowed in mode " + Number(record.mode));
  }
  if ((record.flags & ~known) != 0) {
    return Refuse("services", index, "flags", Number(record.flags), "has unknown bits");
  }
  for (const uint32_t word : record.reserved) {
    if (word != 0) return Refuse("services", index, "reserved", Number(word), "is not 0");
  }
  return {};
}

Status CheckServicePolicy(const SnapshotView& view, size_t index) {
  const ServiceRecord& record = view.services()[index];
  const auto refuse = [&](std::string_view field, uint64_t value, std::string_view why) {
    return Refuse("services", index, field, Number(value), why);
  };
  const ModeDescriptor* mode = FindMode(record.mode);
  if (mode == nullptr) return refuse("mode", record.mode, "is not a forwarding mode");
  if (record.hash_policy > static_cast<uint8_t>(HashPolicy::kSourceIp)) {
    return refuse("hash_policy", record.hash_policy, "is not a hash policy");
  }
  if (record.tracking_tcp > static_cast<uint8_t>(Tracking::kAdaptive)) {
    return refuse("tracking_tcp", record.tracking_tcp, "is not a tracking mode");
  }
  if (record.tracking_udp > static_cast<uint8_t>(Tracking::kAdaptive)) {
    return refuse("tracking_udp", record.tracking_udp, "is not a tracking mode");
  }
  const bool needs_port = mode->Allows(kGuePortSetting);
  if (needs_port != (record.gue_port != 0)) {
    return refuse("gue_port", record.gue_port,
                  needs_port ? "is not a port, which mode " + std::string(mode->name) + " needs"
                             : "is set, but the mode is not " + ModeNamesWith(kGuePortSetting));
  }
  // Most services have the slot count of the service before, which was checked.
  const bool is_known = index != 0 && record.slot_count == view.services()[index - 1].slot_count;
  if (!is_known && (record.slot_count > kMaxSlotCount || !IsPrime(record.slot_count))) {
    return refuse("slot_count", record.slot_count,
                  "is not a prime of at most " + Number(kMaxSlotCount));
  }
  for (const auto& [field, value] :
       {std::pair("idle_timeout_tcp_ms", record.idle_timeout_tcp_ms),
        std::pair("idle_timeout_udp_ms", record.idle_timeout_udp_ms)}) {
    if (value == 0 || value > kMaxIdleTimeoutMs) {
      return refuse(field, value, "is not within 1.." + Number(kMaxIdleTimeoutMs));
    }
  }
  return CheckServiceFlags(index, record, *mode);
}

// The services' backend ranges must tile the backends: each backend has exactly one service.
Status CheckServices(const SnapshotView& view) {
  uint64_t next_backend = 0;
  for (size_t i = 0; i < view.services().size(); ++i) {
    const ServiceRecord& record = view.services()[i];
    RETURN_IF_ERROR(CheckServiceName(view, i));
    RETURN_IF_ERROR(CheckServicePolicy(view, i));
    if (record.first_backend != next_backend) {
      return Refuse("services", i, "first_backend", Number(record.first_backend),
                    "is not " + Number(next_backend) + ", where the service before it ends");
    }
    if (record.backend_count > kMaxBackendsPerService) {
      return Refuse("services", i, "backend_count", Number(record.backend_count),
                    "is above the limit of " + Number(kMaxBackendsPerService));
    }
    next_backend += record.backend_count;
    if (next_backend > view.backends().size()) {
      return Refuse("services", i, "backend_count", Number(record.backend_count),
                    "points past the end of backends, " + Number(view.backends().size()));
    }
  }
  if (next_backend != view.backends().size()) {
    return RefuseHeader("backends.count", view.backends().size(),
                        "backends, but services refer to " + Number(next_backend));
  }
  return {};
}

// There are many backends, so this check is fast. Only for a bad one, RefuseBackend finds the
// defect.
bool IsGoodBackend(const BackendRecord& record, bool may_have_port, uint32_t next_hop_count) {
  return HasGoodAddress(record) && record.state <= static_cast<uint8_t>(BackendState::kDown) &&
         record.weight <= kMaxWeight && record.reserved == 0 && record.id != 0 &&
         (record.next_hop_index < next_hop_count || record.next_hop_index == kNoNextHop) &&
         (record.port == 0 || may_have_port);
}

// REQUIRES !IsGoodBackend(record, ...).
Status RefuseBackend(size_t index, const BackendRecord& record, const ModeDescriptor& mode,
                     uint32_t next_hop_count) {
  if (!HasGoodAddress(record)) return RefuseAddress("backends", index, record);
  const auto refuse = [&](std::string_view field, uint64_t value, std::string_view why) {
    return Refuse("backends", index, field, Number(value), why);
  };
  if (record.state > static_cast<uint8_t>(BackendState::kDown)) {
    return refuse("state", record.state, "is not a backend state");
  }
  if (record.weight > kMaxWeight) {
    return refuse("weight", record.weight, "is not within 0.." + Number(kMaxWeight));
  }
  if (record.reserved != 0) return refuse("reserved", record.reserved, "is not 0");
  if (record.id == 0) return refuse("id", record.id, "is not a valid id");
  if (record.next_hop_index != kNoNextHop && record.next_hop_index >= next_hop_count) {
    return refuse("next_hop_index", record.next_hop_index,
                  "is not below the count of next hops, " + Number(next_hop_count));
  }
  return refuse("port", record.port,
                "is set, but mode " + std::string(mode.name) + " cannot change a packet's port");
}

Status CheckBackendsOf(const SnapshotView& view, const ServiceRecord& service) {
  const auto records = view.backends();
  const auto next_hop_count = static_cast<uint32_t>(view.next_hops().size());
  const ModeDescriptor& mode = ModeOf(service);
  const bool may_have_port = mode.backend_port != BackendPort::kRefused;
  for (size_t i = 0; i < service.backend_count; ++i) {
    const size_t index = service.first_backend + i;
    const BackendRecord& record = records[index];
    if (!IsGoodBackend(record, may_have_port, next_hop_count)) {
      return RefuseBackend(index, record, mode, next_hop_count);
    }
    if (i == 0) continue;
    const auto order = Compare(records[index - 1], record);
    if (order < 0) continue;
    return Refuse("backends", index, "address",
                  AddressOf(record).ToString() + " port " + Number(record.port),
                  OrderDefect(order));
  }
  return {};
}

struct IdPlace {
  uint32_t id;
  uint32_t index;
};

// A radix sort with digits of eleven bits, the lowest first. Equal ids stay in order. A comparison
// sort of a hundred thousand ids would take most of a validation's time: ids are hashes, so no
// branch on them can be predicted.
void SortById(std::vector<IdPlace>* places) {
  constexpr uint32_t kDigitBits = 11;
  std::vector<IdPlace> sorted(places->size());
  for (uint32_t shift = 0; shift < 32; shift += kDigitBits) {
    const auto digit = [&](const IdPlace& place) {
      return place.id >> shift & ((1U << kDigitBits) - 1);
    };
    std::array<uint32_t, 1U << kDigitBits> next = {};
    for (const IdPlace& place : *places) ++next[digit(place)];
    std::exclusive_scan(next.begin(), next.end(), next.begin(), 0U);
    for (const IdPlace& place : *places) sorted[next[digit(place)]++] = place;
    places->swap(sorted);
  }
}

// `Record` has a member `id`.
template <typename Record>
Status CheckUniqueIds(std::string_view section, std::span<const Record> records) {
  std::vector<IdPlace> places;
  places.reserve(records.size());
  for (const Record& record : records) {
    places.push_back({record.id, static_cast<uint32_t>(places.size())});
  }
  SortById(&places);
  const auto twice =
      std::adjacent_find(places.begin(), places.end(),
                         [](const IdPlace& a, const IdPlace& b) { return a.id == b.id; });
  if (twice == places.end()) return {};
  const IdPlace& again = *std::next(twice);
  return Refuse(section, again.index, "id", Number(again.id),
                "is also that of " + std::string(section) + "[" + Number(twice->index) + "]");
}

Status CheckClientNextHops(const SnapshotView& view) {
  const SnapshotHeader& header = view.header();
  for (const auto& [field, hop] : {std::pair("client_next_hop_v4", header.client_next_hop_v4),
                                   std::pair("client_next_hop_v6", header.client_next_hop_v6)}) {
    if (hop == kNoNextHop || hop < view.next_hops().size()) continue;
    return RefuseHeader(field, hop,
                        "is not below the count of next hops, " + Number(view.next_hops().size()));
  }
  return {};
}

Status CheckNextHops(const SnapshotView& view) {
  for (size_t i = 0; i < view.next_hops().size(); ++i) {
    const NextHopRecord& record = view.next_hops()[i];
    MacAddress mac;
    std::copy(std::begin(record.mac), std::end(record.mac), mac.bytes.begin());
    if (mac.is_zero() || mac.is_group()) {
      return Refuse("next_hops", i, "mac", mac.ToString(), "is not a unicast MAC address");
    }
    if (record.vlan > kMaxVlan) {
      return Refuse("next_hops", i, "vlan", Number(record.vlan),
                    "is not within 0.." + Number(kMaxVlan));
    }
    const auto* end = std::find(std::begin(record.interface), std::end(record.interface), '\0');
    const std::string_view name(record.interface, static_cast<size_t>(end - record.interface));
    const bool is_padded =
        std::all_of(end, std::end(record.interface), [](char c) { return c == 0; });
    if (name.size() > kMaxInterfaceLength || !is_padded || !IsPrintableUtf8(name)) {
      return Refuse("next_hops", i, "interface", "(16 bytes)",
                    "is not a printable name of at most 15 bytes, padded with 0");
    }
  }
  return {};
}

// True if the ids of `after` are a subset of those of `before`, each only once: then they are
// distinct from all others, as before. REQUIRES distinct ids in `before`.
bool HasKnownIds(std::span<const BackendRecord> before, std::span<const BackendRecord> after) {
  const auto id_of = [](const BackendRecord& record) { return record.id; };
  if (std::ranges::equal(before, after, {}, id_of, id_of)) return true;
  if (after.size() > before.size()) return false;
  const auto sorted = [&](std::span<const BackendRecord> records) {
    std::vector<uint32_t> ids(records.size());
    std::ranges::transform(records, ids.begin(), id_of);
    std::ranges::sort(ids);
    return ids;
  };
  const std::vector<uint32_t> ids = sorted(after);
  return std::ranges::adjacent_find(ids) == ids.end() && std::ranges::includes(sorted(before), ids);
}

// As CheckUniqueIds, but fast if no service has ids that it did not have in `before`.
Status CheckNewIds(const SnapshotView& before, const SnapshotView& after,
                   const SnapshotDifference& difference) {
  uint32_t next = 0;
  const auto old = before.services();
  for (size_t s = 0; s < after.services().size(); ++s) {
    if (difference.same_in_before[s] != kNoSuchService) continue;
    const ServiceRecord& service = after.services()[s];
    const std::string_view name = after.name_of(service);
    while (next < old.size() && before.name_of(old[next]) < name) ++next;
    const bool is_new = next == old.size() || before.name_of(old[next]) != name;
    const auto known = is_new ? std::span<const BackendRecord>() : before.backends_of(old[next]);
    if (HasKnownIds(known, after.backends_of(service))) continue;
    return CheckUniqueIds("backends", after.backends());
  }
  return {};
}

// Checks the header, that all sections are inside the image, the services and the clients' next
// hops.
Status CheckHeaderAndServices(std::span<const std::byte> image) {
  CHECK(reinterpret_cast<uintptr_t>(image.data()) % 8 == 0);
  if (image.size() < sizeof(SnapshotHeader)) {
    return RefuseHeader("length", image.size(),
                        "bytes are less than a header of " + Number(sizeof(SnapshotHeader)));
  }
  if (image.size() > kMaxSnapshotBytes) {
    return RefuseHeader("length", image.size(),
                        "is above the limit of " + Number(kMaxSnapshotBytes));
  }
  SnapshotHeader header;
  std::memcpy(&header, image.data(), sizeof(header));
  RETURN_IF_ERROR(CheckEnvelope(image, header));
  RETURN_IF_ERROR(CheckLayout(image, header));
  const SnapshotView view(image);  // its sections are inside the image from here on
  RETURN_IF_ERROR(CheckServices(view));
  RETURN_IF_ERROR(CheckClientNextHops(view));
  return CheckUniqueIds("services", view.services());
}

}  // namespace

uint64_t SnapshotDigest(std::span<const std::byte> image) {
  CHECK(image.size() >= sizeof(SnapshotHeader));
  SnapshotHeader header;
  std::memcpy(&header, image.data(), sizeof(header));
  header.digest = 0;
  const uint64_t seed = XXH3_64bits(&header, sizeof(header));
  const auto content = image.subspan(sizeof(header));
  return XXH3_64bits_withSeed(content.data(), content.size(), seed);
}

Status ValidateSnapshot(std::span<const std::byte> image) {
  RETURN_IF_ERROR(CheckHeaderAndServices(image));
  const SnapshotView view(image);
  RETURN_IF_ERROR(CheckFrontends(view));
  for (const ServiceRecord& service : view.services()) {
    RETURN_IF_ERROR(CheckBackendsOf(view, service));
  }
  RETURN_IF_ERROR(CheckNextHops(view));
  return CheckUniqueIds("backends", view.backends());
}

Status ValidateSnapshotAfter(const SnapshotView& before, std::span<const std::byte> image,
                             SnapshotDifference* difference) {
  RETURN_IF_ERROR(CheckHeaderAndServices(image));
  const SnapshotView view(image);
  *difference = CompareSnapshots(before, view);
  if (!difference->same_frontends) RETURN_IF_ERROR(CheckFrontends(view));
  for (size_t s = 0; s < view.services().size(); ++s) {
    if (difference->same_in_before[s] != kNoSuchService) continue;
    RETURN_IF_ERROR(CheckBackendsOf(view, view.services()[s]));
  }
  if (!difference->same_next_hops) RETURN_IF_ERROR(CheckNextHops(view));
  return CheckNewIds(before, view, *difference);
}

}  // namespace fairlead
