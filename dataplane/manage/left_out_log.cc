#include "dataplane/manage/left_out_log.h"

#include <cstdint>

#include <spdlog/spdlog.h>

namespace fairlead {
namespace {

constexpr uint32_t kMostNamed = 10;

}  // namespace

void LogLeftOut(const SnapshotView& snapshot, std::span<const EgressPort> ports,
                const ForwardingTables& next, const ForwardingTables* previous) {
  uint32_t told = 0;
  uint32_t taken_back = 0;
  for (uint32_t index = 0; index < next.backends().size(); ++index) {
    const BackendEntry& backend = next.backends()[index];
    const BackendEntry* before = previous == nullptr ? nullptr : previous->FindBackend(backend.id);
    const LeftOut reason_before = before == nullptr ? LeftOut::kNo : before->left_out;
    if (backend.left_out == reason_before) continue;
    if (backend.left_out == LeftOut::kNo) {
      ++taken_back;
      continue;
    }
    if (++told > kMostNamed) continue;
    const Departure departure{snapshot, snapshot.services()[backend.service_index],
                              snapshot.backends()[index], backend.egress_port, ports};
    spdlog::warn("left out: {}", DescribeLeftOut(backend.left_out, departure));
  }
  if (told > kMostNamed) spdlog::warn("left out: {} more backends", told - kMostNamed);
  if (taken_back > 0) spdlog::info("{} backends that were left out are in use again", taken_back);
}

}  // namespace fairlead
