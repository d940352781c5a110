#include "lib/table/table_digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <vector>

#include "lib/base/check.h"

namespace fairlead {
namespace {

// The bytes to be hashed: concatenated values.
class Bytes {
 public:
  explicit Bytes(size_t most) : bytes_(most) {}
  template <typename T>
  void Add(const T& value) {
    CHECK(used_ + sizeof(value) <= bytes_.size());
    std::memcpy(bytes_.data() + used_, &value, sizeof(value));
    used_ += sizeof(value);
  }
  uint64_t Digest(uint64_t seed) const { return XXH3_64bits_withSeed(bytes_.data(), used_, seed); }

 private:
  std::vector<unsigned char> bytes_;
  size_t used_ = 0;
};

// Upper limits of what each adds.
constexpr size_t kServiceBytes = sizeof(ServiceRecord);
constexpr size_t kBackendBytes = sizeof(BackendRecord);

}  // namespace

uint64_t TableDigest(const SnapshotView& snapshot, const LeftOutBackends& left_out) {
  Bytes bytes(snapshot.frontends().size_bytes() + snapshot.services().size() * kServiceBytes +
              snapshot.backends().size() * kBackendBytes);
  const bool none_left_out = left_out.empty();
  for (const FrontendRecord& frontend : snapshot.frontends()) bytes.Add(frontend);
  for (const ServiceRecord& service : snapshot.services()) {
    bytes.Add(service.hash_policy);
    bytes.Add(service.slot_count);
    uint32_t owners = 0;
    for (const BackendRecord& backend : snapshot.backends_of(service)) {
      const bool owns_slots = backend.state == static_cast<uint8_t>(BackendState::kActive) &&
                              backend.weight != 0 &&
                              (none_left_out || !left_out.contains(backend.id));
      if (!owns_slots) continue;
      ++owners;
      bytes.Add(backend.address);
      bytes.Add(backend.family);
      bytes.Add(backend.port);
      bytes.Add(backend.weight);
    }
    bytes.Add(owners);
  }
  return bytes.Digest(snapshot.header().hash_seed);
}

}  // namespace fairlead
