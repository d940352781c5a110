#include "dataplane/pipeline/pipeline.h"

#include <cstring>

#include "dataplane/pipeline/drop.h"
#include "dataplane/pipeline/stages.h"
#include "lib/base/check.h"

namespace fairlead {
namespace {

uint64_t MacNumber(const MacAddress& mac) {
  uint64_t number = 0;
  std::memcpy(&number, mac.bytes.data(), mac.bytes.size());
  return number;
}

// True if this verdict and the next seven are kForward, as they nearly always are.
bool AllForwarded(const Verdict* verdicts) {
  static_assert(kMaxBurst % 8 == 0 && sizeof(Verdict) == 1);
  uint64_t word;
  std::memcpy(&word, verdicts, sizeof(word));
  return word == static_cast<uint64_t>(Verdict::kForward) * 0x0101010101010101;
}

// Counts the verdicts. Packets with kForward are counted when they are sent (CountSent,
// CountUnsent), those with kHeld when they are released. An answer counts twice: the request as
// dropped, the answer as generated.
void CountVerdicts(WorkerCounters* counters, const Burst& burst) {
  uint64_t to_kernel = 0;
  uint64_t answers = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    if (i % 8 == 0 && AllForwarded(&burst.verdict[i])) {  // entries past the end do not matter
      i += 7;
      continue;
    }
    switch (burst.verdict[i]) {
      case Verdict::kForward:
      case Verdict::kHeld:
        break;
      case Verdict::kAnswer:
        ++answers;
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
  if (answers != 0) {
    Add(&counters->totals.generated, answers);
    Add(&counters->totals.drops[static_cast<size_t>(DropReason::k_answered)], answers);
  }
}

}  // namespace

PortView PortView::Make(const MacAddress& mac, std::span<const MacAddress> extra, uint16_t mtu,
                        std::span<const IpAddress> addresses) {
  CHECK(extra.size() < kMaxPortMacs);
  PortView view;
  view.mac = mac;
  view.mtu = mtu;
  view.accepted[view.accepted_count++] = MacNumber(mac);
  for (const MacAddress& address : extra) {
    view.accepted[view.accepted_count++] = MacNumber(address);
  }
  for (const IpAddress& address : addresses) {
    std::optional<IpAddress>& own = address.is_v4() ? view.address_v4 : view.address_v6;
    if (!own) own = address;
  }
  return view;
}

void ProcessBurst(PipelineContext& context, Burst& burst) {
  DCHECK(burst.count <= kMaxBurst);
  ParseHeaders(context, burst);
  LookupServices(context, burst);
  SelectBackends(context, burst);
  context.next_burst.PrefetchExtraLines();
  if (burst.live.count != 0 && context.tables->follows_handshakes()) {
    FollowHandshakes(context, burst);
  }
  if (burst.fragments.count != 0 || burst.has_first_fragment) HandleFragments(context, burst);
  if (burst.errors.count != 0) ForwardErrors(context, burst);
  Rewrite(context, burst);
  if (burst.replies.count != 0) TranslateReplies(context, burst);
  if (burst.questions.count != 0) Answer(context, burst);
  CountVerdicts(context.counters, burst);
}

uint32_t ReleaseFragments(PipelineContext& context, Burst& burst, bool all) {
  FragmentStore& store = *context.fragments;
  burst.count = 0;
  burst.ClearLists();
  if (all) {
    store.ReleaseAll();
  } else if (!store.empty()) {
    store.Advance(context.now_tick);
  }
  FragmentStore::Released released;
  while (burst.count < kMaxBurst && store.Next(&released)) {
    const uint32_t i = burst.count++;
    context.buffers->Resume(released.handle, &burst, i);
    burst.verdict[i] = Verdict::kPending;
    burst.reason[i] = DropReason::kNone;
    burst.service[i] = kNoService;
    ParseFrame(burst.frame[i], burst.linear_length[i], burst.frame_length[i], &burst.packet[i],
               &burst.key[i]);
    if (released.decision != 0) {
      ApplyDecision(context, burst, i, released.decision);
    } else if (context.tables->frontends().HasDestination(burst.key[i])) {
      DropPacket(context, burst, i, released.reason);
    } else {
      burst.verdict[i] = Verdict::
          kToKernel;  // from a nat backend, but no first fragment says that it answers a client
    }
  }
  Rewrite(context, burst);
  TranslateReplies(context, burst);
  CountVerdicts(context.counters, burst);
  return burst.count;
}

}  // namespace fairlead
