#include "dataplane/manage/left_out_log.h"

#include <cstdint>

#include <spdlog/spdlog.h>

namespace fairlead {
namespace {

constexpr uint32_t kMostNamed = 10;

// visit(index, backend) of those that are left out. Most services have none.
void VisitLeftOut(const ForwardingTables& tables, auto visit) {
  for (const ServiceEntry& service : tables.services()) {
    if (service.backends_left_out == 0) continue;
    for (uint32_t local = 0; local < service.backend_count; ++local) {
      const uint32_t index = service.first_backend + local;
      const BackendEntry& backend = tables.backends()[index];
      if (backend.left_out != LeftOut::kNo) visit(index, backend);
    }
  }
}

}  // namespace

void LogLeftOut(const SnapshotView& snapshot, std::span<const EgressPort> ports,
                const ForwardingTables& next, const ForwardingTables* previous) {
  uint32_t told = 0;
  VisitLeftOut(next, [&](uint32_t index, const BackendEntry& backend) {
    const BackendEntry* before = previous == nullptr ? nullptr : previous->FindBackend(backend.id);
    if (before != nullptr && before->left_out == backend.left_out) return;
    if (++told > kMostNamed) return;
    const Departure departure{snapshot, snapshot.services()[backend.service_index],
                              snapshot.backends()[index], backend.egress_port, ports};
    spdlog::warn("left out: {}", DescribeLeftOut(backend.left_out, departure));
  });
  uint32_t taken_back = 0;
  if (previous != nullptr) {
    VisitLeftOut(*previous, [&](uint32_t, const BackendEntry& backend) {
      const BackendEntry* present = next.FindBackend(backend.id);
      if (present != nullptr && present->left_out == LeftOut::kNo) ++taken_back;
    });
  }
  if (told > kMostNamed) spdlog::warn("left out: {} more backends", told - kMostNamed);
  if (taken_back > 0) spdlog::info("{} backends that were left out are in use again", taken_back);
}

}  // namespace fairlead
