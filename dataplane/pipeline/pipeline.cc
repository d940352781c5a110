#include "dataplane/pipeline/pipeline.h"

#include <cstring>

#include "dataplane/pipeline/stages.h"
#include "lib/base/check.h"

namespace fairlead {
namespace {

uint64_t MacNumber(const MacAddress& mac) {
  uint64_t number = 0;
  std::memcpy(&number, mac.bytes.data(), mac.bytes.size());
  return number;
}

// One verdict, one counter.
void CountVerdicts(WorkerCounters* counters, const Burst& burst) {
  uint64_t to_kernel = 0;
  uint64_t replies = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    switch (burst.verdict[i]) {
      case Verdict::kForward:
        break;
      case Verdict::kReply:
        ++replies;
        break;
      case Verdict::kToKernel:
        ++to_kernel;
        break;
      case Verdict::kDrop:
        Add(&counters->totals.drops[static_cast<size_t>(burst.reason[i])], 1);
        break;
      case Verdict::kPending:
        CHECK(false);
    }
  }
  if (to_kernel != 0) Add(&counters->totals.to_kernel, to_kernel);
  if (replies != 0) {
    Add(&counters->totals.generated, replies);
    Add(&counters->totals.drops[static_cast<size_t>(DropReason::k_answered)], replies);
  }
}

}  // namespace

PortView PortView::Make(const MacAddress& mac, std::span<const MacAddress> extra, uint16_t mtu) {
  CHECK(extra.size() < kMaxPortMacs);
  PortView view;
  view.mac = mac;
  view.mtu = mtu;
  view.accepted[view.accepted_count++] = MacNumber(mac);
  for (const MacAddress& address : extra) {
    view.accepted[view.accepted_count++] = MacNumber(address);
  }
  return view;
}

void ProcessBurst(PipelineContext& context, Burst& burst) {
  DCHECK(burst.count <= kMaxBurst);
  ParseHeaders(context, burst);
  LookupServices(context, burst);
  SelectBackends(context, burst);
  Rewrite(context, burst);
  if (burst.question_count != 0) Answer(context, burst);
  CountVerdicts(context.counters, burst);
}

}  // namespace fairlead
