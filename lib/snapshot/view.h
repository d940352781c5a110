// Typed access to a validated snapshot image.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "lib/mode/mode.h"
#include "lib/net/address.h"
#include "lib/snapshot/format.h"

namespace fairlead {

// The view does not own the image. REQUIRES that it outlives the view and has passed
// ValidateSnapshot.
class SnapshotView {
 public:
  explicit SnapshotView(std::span<const std::byte> validated_image);

  const SnapshotHeader& header() const { return *header_; }
  std::span<const FrontendRecord> frontends() const { return frontends_; }
  std::span<const ServiceRecord> services() const { return services_; }
  std::span<const BackendRecord> backends() const { return backends_; }
  std::span<const NextHopRecord> next_hops() const { return next_hops_; }
  std::span<const BackendRecord> backends_of(const ServiceRecord& service) const {
    return backends_.subspan(service.first_backend, service.backend_count);
  }
  std::string_view name_of(const ServiceRecord& service) const {
    return names_.substr(service.name_offset, service.name_length);
  }

 private:
  const SnapshotHeader* header_;
  std::span<const FrontendRecord> frontends_;
  std::span<const ServiceRecord> services_;
  std::span<const BackendRecord> backends_;
  std::span<const NextHopRecord> next_hops_;
  std::string_view names_;
};

IpAddress AddressOf(const FrontendRecord& record);
Frontend FrontendOf(const FrontendRecord& record);
IpAddress AddressOf(const BackendRecord& record);
const ModeDescriptor& ModeOf(const ServiceRecord& record);

}  // namespace fairlead
