#include "dataplane/manage/left_out_log.h"

#include <cstdint>

#include <spdlog/spdlog.h>

namespace fairlead {
namespace {

constexpr uint32_t kMostNamed = 10;  // backends that one snapshot logs by name

// Calls visit(index, backend) for each backend that is left out. Most services have none.
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
  uint32_t logged = 0;
  VisitLeftOut(next, [&](uint32_t index, const BackendEntry& backend) {
    const BackendEntry* before = previous == nullptr ? nullptr : previous->FindBackend(backend.id);
    if (before != nullptr && before->left_out == backend.left_out) return;
    if (++logged > kMostNamed) return;
    const EgressPath departure{snapshot, snapshot.services()[backend.service_index],
                               snapshot.backends()[index], backend.egress_port, ports};
    spdlog::warn("left out: {}", DescribeLeftOut(backend.left_out, departure));
  });
  uint32_t restored = 0;
  if (previous != nullptr) {
    VisitLeftOut(*previous, [&](uint32_t, const BackendEntry& backend) {
      const BackendEntry* present = next.FindBackend(backend.id);
      if (present != nullptr && present->left_out == LeftOut::kNo) ++restored;
    });
  }
  if (logged > kMostNamed) spdlog::warn("left out: {} more backends", logged - kMostNamed);
  if (restored > 0) spdlog::info("{} backends that were left out are in use again", restored);
}

}  // namespace fairlead
