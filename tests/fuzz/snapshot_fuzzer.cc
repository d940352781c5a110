// Any bytes as a snapshot image: first unchanged, then with right lengths and digest, so that the
// checks behind the digest run too. An accepted image is read completely, so that the sanitizers
// detect an index out of range.
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "lib/base/check.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/older_format.h"
#include "lib/snapshot/validator.h"
#include "lib/snapshot/view.h"

namespace fairlead {
namespace {

uint64_t Sum(const auto& bytes) {
  uint64_t sum = 0;
  for (const auto byte : bytes) sum += static_cast<uint8_t>(byte);
  return sum;
}

uint64_t ReadAll(const SnapshotView& view) {
  uint64_t sum = 0;
  for (const FrontendRecord& frontend : view.frontends()) {
    sum += Sum(AddressOf(frontend).bytes());
    sum += view.services()[frontend.service_index].id;
  }
  size_t backend_count = 0;
  for (const ServiceRecord& service : view.services()) {
    sum += Sum(view.name_of(service));
    CHECK(service.slot_count <= kMaxSlotCount);
    for (const BackendRecord& backend : view.backends_of(service)) {
      CHECK(backend.id != 0 && backend.weight <= kMaxWeight);
      sum += Sum(AddressOf(backend).bytes());
      if (backend.next_hop_index != kNoNextHop) {
        sum += view.next_hops()[backend.next_hop_index].vlan;
      }
      ++backend_count;
    }
  }
  CHECK(backend_count == view.backends().size());
  return sum;
}

void Load(std::span<const std::byte> bytes) {
  const Result<SnapshotImage> image = LoadSnapshot(bytes);
  if (!image.ok()) return;
  CHECK(image->bytes().size() == bytes.size());
  // Two reads of the same bytes agree. Comparing the sums keeps the compiler from removing the
  // reads.
  const SnapshotView view(image->bytes());
  CHECK(ReadAll(view) == ReadAll(view));
  if (view.header().version != kSnapshotVersion) return;
  const OlderImage older = ToSnapshotVersion2(image->bytes());
  CHECK(ValidateSnapshot(older.image.bytes()).ok());
  const SnapshotView older_view(older.image.bytes());
  CHECK(older_view.frontends().size() + older.left_out_frontends.size() == view.frontends().size());
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  const auto bytes = std::as_bytes(std::span(data, size));
  Load(bytes);
  if (size < sizeof(SnapshotHeader)) return 0;
  std::vector<std::byte> repaired(bytes.begin(), bytes.end());
  SnapshotHeader header;
  std::memcpy(&header, repaired.data(), sizeof(header));
  header.magic = kSnapshotMagic;
  header.version = kSnapshotVersion;
  header.header_bytes = sizeof(SnapshotHeader);
  header.total_bytes = repaired.size();
  std::memcpy(repaired.data(), &header, sizeof(header));
  header.digest = SnapshotDigest(repaired);
  std::memcpy(repaired.data(), &header, sizeof(header));
  Load(repaired);
  return 0;
}
