#include "lib/snapshot/builder.h"

#include <cstring>

#include "lib/snapshot/assembler.h"
#include "lib/snapshot/validator.h"

namespace fairlead {
namespace {

bool Fits(const std::optional<SnapshotNextHop>& hop) { return !hop || hop->interface.size() <= 15; }

// Refuses values that do not fit the fixed-size records. The validator checks everything else.
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

}  // namespace

SnapshotImage SnapshotImage::CopyOf(std::span<const std::byte> image) {
  std::vector<uint64_t> words(image.size() / 8);
  if (!words.empty()) std::memcpy(words.data(), image.data(), image.size());
  return SnapshotImage(std::move(words));
}

std::span<const std::byte> SnapshotImage::bytes() const { return std::as_bytes(std::span(words_)); }

Result<SnapshotImage> BuildSnapshot(const SnapshotInput& input) {
  RETURN_IF_ERROR(CheckFits(input));
  SnapshotAssembler assembler;
  for (const SnapshotService& service : input.services) assembler.Add(service);
  assembler.Assemble({input.generation, input.hash_seed, input.change_id, input.client_next_hop_v4,
                      input.client_next_hop_v6});
  SnapshotImage image(std::move(assembler).TakeImage());
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
  // Validates the length as received, so that a rest of a few bytes is refused rather than padded.
  RETURN_IF_ERROR(ValidateSnapshot(std::as_bytes(std::span(words)).first(bytes.size())));
  return SnapshotImage(std::move(words));
}

}  // namespace fairlead
