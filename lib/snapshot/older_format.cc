#include "lib/snapshot/older_format.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "lib/base/check.h"
#include "lib/snapshot/validator.h"
#include "lib/snapshot/view.h"

namespace fairlead {
namespace {

// Version 2 has only single ports and any port.
bool HasRange(const FrontendRecord& frontend) { return frontend.last_port != 0; }

// Appends a section's records and sets the header's `range` for them. Each section's length is a
// multiple of 8, since that of its records is. The exception are the names, which end the image.
template <typename Record>
void AppendSection(std::span<const Record> records, SectionRange* range,
                   std::vector<uint64_t>* words) {
  range->offset_bytes = words->size() * sizeof(uint64_t);
  range->count = records.size();
  const size_t bytes = records.size_bytes();
  words->resize(words->size() + (bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t), 0);
  if (bytes == 0) return;
  std::memcpy(reinterpret_cast<std::byte*>(words->data()) + range->offset_bytes, records.data(),
              bytes);
}

}  // namespace

OlderImage ToSnapshotVersion2(std::span<const std::byte> image) {
  const SnapshotView view(image);
  CHECK(view.header().version == kSnapshotVersion);
  OlderImage older;
  std::vector<FrontendRecord> frontends;
  frontends.reserve(view.frontends().size());
  for (const FrontendRecord& frontend : view.frontends()) {
    if (HasRange(frontend)) {
      const std::string_view service = view.name_of(view.services()[frontend.service_index]);
      older.left_out_frontends.push_back({std::string(service), FrontendOf(frontend)});
    } else {
      frontends.push_back(frontend);
    }
  }
  std::vector<ServiceRecord> services(view.services().begin(), view.services().end());
  for (ServiceRecord& service : services) {
    const auto take_out = [&](uint32_t flag, std::vector<std::string>* names) {
      if ((service.flags & flag) == 0) return;
      service.flags &= ~flag;
      names->emplace_back(view.name_of(service));
    };
    take_out(kServiceResetNoBackend, &older.services_without_reset);
    take_out(kServiceFollowHandshakes, &older.services_without_handshakes);
  }
  SnapshotHeader header = view.header();
  header.version = 2;
  header.change_id = 0;
  std::vector<uint64_t> words;
  words.reserve(image.size() / sizeof(uint64_t));
  words.resize(sizeof(header) / sizeof(uint64_t));
  AppendSection(std::span<const FrontendRecord>(frontends), &header.frontends, &words);
  AppendSection(std::span<const ServiceRecord>(services), &header.services, &words);
  AppendSection(view.backends(), &header.backends, &words);
  AppendSection(view.next_hops(), &header.next_hops, &words);
  AppendSection(image.subspan(header.names.offset_bytes, header.names.count), &header.names,
                &words);
  header.total_bytes = words.size() * sizeof(uint64_t);
  std::memcpy(words.data(), &header, sizeof(header));
  header.digest = SnapshotDigest(std::as_bytes(std::span(words)));
  std::memcpy(words.data(), &header, sizeof(header));
  older.image = SnapshotImage(std::move(words));
  DCHECK(ValidateSnapshot(older.image.bytes()).ok());
  return older;
}

}  // namespace fairlead
