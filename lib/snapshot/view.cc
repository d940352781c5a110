#include "lib/snapshot/view.h"

#include "lib/base/check.h"

namespace fairlead {
namespace {

template <typename Record>
std::span<const Record> Section(std::span<const std::byte> image, const SectionRange& range) {
  return {reinterpret_cast<const Record*>(image.data() + range.offset_bytes),
          static_cast<size_t>(range.count)};
}

template <typename Record>
IpAddress DecodeAddress(const Record& record) {
  if (record.family == static_cast<uint8_t>(Family::kIpv4)) {
    return IpAddress::FromV4(std::span<const uint8_t, 4>(record.address, 4));
  }
  return IpAddress::FromV6(std::span<const uint8_t, 16>(record.address, 16));
}

}  // namespace

SnapshotView::SnapshotView(std::span<const std::byte> validated_image)
    : header_(reinterpret_cast<const SnapshotHeader*>(validated_image.data())) {
  CHECK(validated_image.size() >= sizeof(SnapshotHeader));
  CHECK(header_->total_bytes == validated_image.size());
  frontends_ = Section<FrontendRecord>(validated_image, header_->frontends);
  services_ = Section<ServiceRecord>(validated_image, header_->services);
  backends_ = Section<BackendRecord>(validated_image, header_->backends);
  next_hops_ = Section<NextHopRecord>(validated_image, header_->next_hops);
  const auto names = Section<char>(validated_image, header_->names);
  names_ = {names.data(), names.size()};
}

IpAddress AddressOf(const FrontendRecord& record) { return DecodeAddress(record); }
Frontend FrontendOf(const FrontendRecord& record) {
  return {AddressOf(record), record.port, static_cast<Protocol>(record.protocol), record.last_port};
}
IpAddress AddressOf(const BackendRecord& record) { return DecodeAddress(record); }

const ModeDescriptor& ModeOf(const ServiceRecord& record) {
  return ModeOf(static_cast<ForwardingMode>(record.mode));
}

}  // namespace fairlead
