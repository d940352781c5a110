#include "lib/link/message.h"

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstring>
#include <optional>
#include <utility>

#include "lib/base/check.h"
#include "lib/base/utf8.h"

namespace fairlead {
namespace {

static_assert(std::endian::native == std::endian::little, "messages are little-endian");

constexpr size_t kMaxReasonBytes = 1024;

template <typename T>
concept WireInteger = std::unsigned_integral<T>;

class Writer {
 public:
  explicit Writer(uint16_t version) : version_(version) {}
  // True for the version of release 0.1.0, which does not have every field.
  bool is_first_version() const { return version_ == kFirstLinkVersion; }

  template <WireInteger T>
  void Put(T value) {
    PutBytes(&value, sizeof(value));
  }
  void Put(const std::string& text) {
    Put(static_cast<uint32_t>(text.size()));
    PutBytes(text.data(), text.size());
  }
  void Put(const IpAddress& address) {
    Put(static_cast<uint8_t>(address.family()));
    PutBytes(address.bytes().data(), address.bytes().size());
  }
  void PutFlag(bool flag) { Put(static_cast<uint8_t>(flag ? 1 : 0)); }
  std::span<const std::byte> bytes() const { return {buffer_.data(), size_}; }

 private:
  void PutBytes(const void* data, size_t length) {
    CHECK(length <= buffer_.size() - size_);
    if (length > 0) std::memcpy(buffer_.data() + size_, data, length);
    size_ += length;
  }

  uint16_t version_;
  std::array<std::byte, kMaxLinkMessageBytes - sizeof(LinkHeader)> buffer_;
  size_t size_ = 0;
};

// Remembers the first failure; values read after it are 0.
class Reader {
 public:
  Reader(uint16_t version, std::span<const std::byte> bytes) : version_(version), rest_(bytes) {}
  bool is_first_version() const { return version_ == kFirstLinkVersion; }

  template <WireInteger T>
  void Get(T* value) {
    *value = 0;
    if (!ok_ || rest_.size() < sizeof(T)) {
      ok_ = false;
      return;
    }
    std::memcpy(value, rest_.data(), sizeof(T));
    rest_ = rest_.subspan(sizeof(T));
  }
  void Get(std::string* text, size_t most_bytes) {
    uint32_t length = 0;
    Get(&length);
    if (!ok_ || length > most_bytes || length > rest_.size()) {
      ok_ = false;
      return;
    }
    text->assign(reinterpret_cast<const char*>(rest_.data()), length);
    rest_ = rest_.subspan(length);
  }
  // Accepts only text that can be logged.
  void GetRelease(std::string* release) {
    Get(release, kMaxReleaseBytes);
    ok_ = ok_ && IsPrintableUtf8(*release);
  }
  void Get(IpAddress* address) {
    uint8_t family = 0;
    std::array<uint8_t, 16> bytes{};
    Get(&family);
    for (uint8_t& byte : bytes) Get(&byte);
    if (family == static_cast<uint8_t>(Family::kIpv6)) {
      *address = IpAddress::FromV6(bytes);
    } else {
      *address = IpAddress::FromV4(std::span(bytes).first<4>());
      ok_ = ok_ && family == static_cast<uint8_t>(Family::kIpv4) &&
            std::ranges::all_of(std::span(bytes).subspan<4>(), [](uint8_t b) { return b == 0; });
    }
  }
  // Reads the addresses one by one, so that a false count allocates no more than there are bytes
  // for.
  void Get(std::vector<IpAddress>* addresses, size_t most) {
    uint16_t count = 0;
    Get(&count);
    if (count > most) ok_ = false;
    for (uint16_t i = 0; ok_ && i < count; ++i) Get(&addresses->emplace_back());
  }
  void GetFlag(bool* flag) {
    uint8_t byte = 0;
    Get(&byte);
    if (byte > 1) ok_ = false;
    *flag = byte == 1;
  }
  // True if the sender is older and has sent no more fields than those that were read.
  bool AtEnd() const { return ok_ && rest_.empty(); }
  // True if all fields were present. In version 2 no bytes may be left. In later versions, more
  // bytes are fields that this release does not know.
  bool Finished() const { return ok_ && (rest_.empty() || !is_first_version()); }

 private:
  uint16_t version_;
  std::span<const std::byte> rest_;
  bool ok_ = true;
};

constexpr LinkType TypeOf(const HelloMessage&) { return LinkType::kHello; }
constexpr LinkType TypeOf(const PublishMessage&) { return LinkType::kPublish; }
constexpr LinkType TypeOf(const PublishedMessage&) { return LinkType::kPublished; }
constexpr LinkType TypeOf(const GetStatsMessage&) { return LinkType::kGetStats; }
constexpr LinkType TypeOf(const StatsMessage&) { return LinkType::kStats; }
constexpr LinkType TypeOf(const FindFlowMessage&) { return LinkType::kFindFlow; }
constexpr LinkType TypeOf(const FlowMessage&) { return LinkType::kFlow; }
constexpr LinkType TypeOf(const ClientHelloMessage&) { return LinkType::kClientHello; }
constexpr LinkType TypeOf(const OpenProbesMessage&) { return LinkType::kOpenProbes; }
constexpr LinkType TypeOf(const ProbesMessage&) { return LinkType::kProbes; }

void PutBody(Writer* out, const HelloMessage& m) {
  out->Put(m.pid);
  if (!out->is_first_version()) out->Put(m.instance);
  out->Put(m.generation);
  out->Put(m.snapshot_digest);
  if (!out->is_first_version()) out->Put(m.change_id);
  out->Put(m.snapshot_version);
  out->Put(m.worker_count);
  out->Put(m.flow_records);
  if (out->is_first_version()) return;
  out->Put(static_cast<uint16_t>(m.own_addresses.size()));
  for (const IpAddress& address : m.own_addresses) out->Put(address);
  out->Put(m.release);
  out->Put(m.running_us);
  out->Put(m.records_taken_over);
  out->PutFlag(m.makes_probes);
}
void GetBody(Reader* in, HelloMessage* m) {
  in->Get(&m->pid);
  if (!in->is_first_version()) in->Get(&m->instance);
  in->Get(&m->generation);
  in->Get(&m->snapshot_digest);
  if (!in->is_first_version()) in->Get(&m->change_id);
  in->Get(&m->snapshot_version);
  in->Get(&m->worker_count);
  in->Get(&m->flow_records);
  if (in->is_first_version()) return;
  in->Get(&m->own_addresses, kMaxOwnAddresses);
  in->GetRelease(&m->release);
  if (!in->AtEnd()) in->Get(&m->running_us);
  if (!in->AtEnd()) in->Get(&m->records_taken_over);
  if (!in->AtEnd()) in->GetFlag(&m->makes_probes);
}

void PutBody(Writer* out, const ClientHelloMessage& m) {
  out->Put(m.snapshot_version);
  out->Put(m.stats_version);
  out->Put(m.release);
}
void GetBody(Reader* in, ClientHelloMessage* m) {
  in->Get(&m->snapshot_version);
  in->Get(&m->stats_version);
  in->GetRelease(&m->release);
}

void PutBody(Writer* out, const PublishMessage& m) {
  out->Put(m.generation);
  out->Put(m.image_bytes);
}
void GetBody(Reader* in, PublishMessage* m) {
  in->Get(&m->generation);
  in->Get(&m->image_bytes);
}

void PutBody(Writer* out, const PublishedMessage& m) {
  out->Put(m.generation);
  out->PutFlag(m.in_force);
  out->Put(m.apply_us);
  if (!out->is_first_version()) out->Put(m.left_out);
  out->Put(m.reason);
}
void GetBody(Reader* in, PublishedMessage* m) {
  in->Get(&m->generation);
  in->GetFlag(&m->in_force);
  in->Get(&m->apply_us);
  if (!in->is_first_version()) in->Get(&m->left_out);
  in->Get(&m->reason, kMaxReasonBytes);
}

void PutBody(Writer*, const GetStatsMessage&) {}
void GetBody(Reader*, GetStatsMessage*) {}

void PutBody(Writer* out, const StatsMessage& m) { out->Put(m.body_bytes); }
void GetBody(Reader* in, StatsMessage* m) { in->Get(&m->body_bytes); }

void PutBody(Writer* out, const FindFlowMessage& m) {
  out->Put(m.tag);
  out->Put(m.buckets);
  out->Put(m.service_id);
}
void GetBody(Reader* in, FindFlowMessage* m) {
  in->Get(&m->tag);
  in->Get(&m->buckets);
  in->Get(&m->service_id);
}

void PutBody(Writer* out, const FlowMessage& m) {
  out->PutFlag(m.found);
  out->Put(m.backend_id);
  out->Put(m.age_ms);
  out->Put(m.flags);
  out->PutFlag(m.slot_known);
  out->Put(m.slot_state);
  out->Put(m.current_id);
  out->Put(m.stable_id);
}
void GetBody(Reader* in, FlowMessage* m) {
  in->GetFlag(&m->found);
  in->Get(&m->backend_id);
  in->Get(&m->age_ms);
  in->Get(&m->flags);
  in->GetFlag(&m->slot_known);
  in->Get(&m->slot_state);
  in->Get(&m->current_id);
  in->Get(&m->stable_id);
}

void PutBody(Writer*, const OpenProbesMessage&) {}
void GetBody(Reader*, OpenProbesMessage*) {}

void PutBody(Writer* out, const ProbesMessage& m) {
  out->PutFlag(m.open);
  out->Put(m.reason);
}
void GetBody(Reader* in, ProbesMessage* m) {
  in->GetFlag(&m->open);
  in->Get(&m->reason, kMaxReasonBytes);
}

// A message with default values, for the type number of the wire; no value if there is no such
// type.
std::optional<LinkMessage> MessageOfType(uint16_t version, uint16_t type) {
  switch (static_cast<LinkType>(type)) {
    case LinkType::kHello:
      return HelloMessage{};
    case LinkType::kPublish:
      return PublishMessage{};
    case LinkType::kPublished:
      return PublishedMessage{};
    case LinkType::kGetStats:
      return GetStatsMessage{};
    case LinkType::kStats:
      return StatsMessage{};
    case LinkType::kFindFlow:
      return FindFlowMessage{};
    case LinkType::kFlow:
      return FlowMessage{};
    case LinkType::kClientHello:
      if (version == kFirstLinkVersion) break;
      return ClientHelloMessage{};
    case LinkType::kOpenProbes:
      if (version == kFirstLinkVersion) break;
      return OpenProbesMessage{};
    case LinkType::kProbes:
      if (version == kFirstLinkVersion) break;
      return ProbesMessage{};
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::byte> EncodeLinkMessage(uint32_t id, const LinkMessage& message,
                                         uint16_t version) {
  CHECK(version == kFirstLinkVersion || version == kLinkVersion);
  if (const auto* published = std::get_if<PublishedMessage>(&message)) {
    CHECK(published->reason.size() <= kMaxReasonBytes);
  }
  if (const auto* probes = std::get_if<ProbesMessage>(&message)) {
    CHECK(version != kFirstLinkVersion && probes->reason.size() <= kMaxReasonBytes);
  }
  if (const auto* hello = std::get_if<HelloMessage>(&message)) {
    CHECK(hello->own_addresses.size() <= kMaxOwnAddresses);
    CHECK(hello->release.size() <= kMaxReleaseBytes);
  }
  if (const auto* hello = std::get_if<ClientHelloMessage>(&message)) {
    CHECK(version != kFirstLinkVersion && hello->release.size() <= kMaxReleaseBytes);
  }
  Writer body(version);
  LinkHeader header{kLinkMagic, version, 0, id, 0};
  std::visit(
      [&](const auto& m) {
        header.type = static_cast<uint16_t>(TypeOf(m));
        PutBody(&body, m);
      },
      message);
  header.body_bytes = static_cast<uint32_t>(body.bytes().size());
  std::vector<std::byte> datagram(sizeof(header) + body.bytes().size());
  std::memcpy(datagram.data(), &header, sizeof(header));
  if (!body.bytes().empty()) {
    std::memcpy(datagram.data() + sizeof(header), body.bytes().data(), body.bytes().size());
  }
  return datagram;
}

Result<DecodedMessage> DecodeLinkMessage(std::span<const std::byte> datagram) {
  if (datagram.size() > kMaxLinkMessageBytes) {
    return InvalidArgument("link message of " + std::to_string(datagram.size()) +
                           " bytes is longer than " + std::to_string(kMaxLinkMessageBytes));
  }
  LinkHeader header;
  if (datagram.size() < sizeof(header)) {
    return InvalidArgument("link message of " + std::to_string(datagram.size()) +
                           " bytes is shorter than its header of " +
                           std::to_string(sizeof(header)));
  }
  std::memcpy(&header, datagram.data(), sizeof(header));
  if (header.magic != kLinkMagic) return InvalidArgument("link message with a foreign magic");
  if (header.version != kLinkVersion && header.version != kFirstLinkVersion) {
    return InvalidArgument("link message of version " + std::to_string(header.version) +
                           "; this release speaks versions " + std::to_string(kFirstLinkVersion) +
                           " and " + std::to_string(kLinkVersion));
  }
  const auto body = datagram.subspan(sizeof(header));
  if (header.body_bytes != body.size()) {
    return InvalidArgument("link message announces a body of " + std::to_string(header.body_bytes) +
                           " bytes and has " + std::to_string(body.size()));
  }
  std::optional<LinkMessage> message = MessageOfType(header.version, header.type);
  if (!message) {
    return InvalidArgument("link message of unknown type " + std::to_string(header.type));
  }
  Reader in(header.version, body);
  std::visit([&](auto& m) { GetBody(&in, &m); }, *message);
  if (!in.Finished()) {
    return InvalidArgument("link message of type " + std::to_string(header.type) +
                           " has a malformed body of " + std::to_string(body.size()) + " bytes");
  }
  return DecodedMessage{header.version, header.id, *std::move(message)};
}

}  // namespace fairlead
