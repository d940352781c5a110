#include "lib/table/table_digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <vector>

namespace fairlead {
namespace {

// What is hashed: values one behind the other.
class Bytes {
 public:
  template <typename T>
  void Add(const T& value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof(value));
    std::memcpy(bytes_.data() + at, &value, sizeof(value));
  }
  uint64_t Digest(uint64_t seed) const {
    return XXH3_64bits_withSeed(bytes_.data(), bytes_.size(), seed);
  }

 private:
  std::vector<unsigned char> bytes_;
};

}  // namespace

uint64_t TableDigest(const SnapshotView& snapshot, const LeftOutBackends& left_out) {
  Bytes bytes;
  for (const FrontendRecord& frontend : snapshot.frontends()) bytes.Add(frontend);
  for (const ServiceRecord& service : snapshot.services()) {
    bytes.Add(service.hash_policy);
    bytes.Add(service.slot_count);
    uint32_t owners = 0;
    for (const BackendRecord& backend : snapshot.backends_of(service)) {
      const bool owns_slots = backend.state == static_cast<uint8_t>(BackendState::kActive) &&
                              backend.weight != 0 && !left_out.contains(backend.id);
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
