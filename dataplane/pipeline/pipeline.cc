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

// True when this verdict and the seven behind it are kForward, as they nearly always are.
bool AllForwarded(const Verdict* verdicts) {
  static_assert(kMaxBurst % 8 == 0 && sizeof(Verdict) == 1);
  uint64_t word;
  std::memcpy(&word, verdicts, sizeof(word));
  return word == static_cast<uint64_t>(Verdict::kForward) * 0x0101010101010101;
}

// One verdict, one counter.
void CountVerdicts(WorkerCounters* counters, const Burst& burst) {
  uint64_t to_kernel = 0;
  uint64_t replies = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    if (i % 8 == 0 && AllForwarded(&burst.verdict[i])) {  // those past the end are pending
      i += 7;
      continue;
    }
    switch (burst.verdict[i]) {
      case Verdict::kForward:
      case Verdict::kHeld:
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
  context.coming.AskForExtra();
  if (burst.fragments.count != 0 || burst.has_first_fragment) FollowFragments(context, burst);
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
  } else if (!store.idle()) {
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
    if (released.where != 0) {
      ApplyDecision(context, burst, i, released.where);
    } else if (context.tables->frontends().HasDestination(burst.key[i])) {
      DropPacket(context, burst, i, released.reason);
    } else {
      burst.verdict[i] = Verdict::kToKernel;  // from a nat backend, and perhaps none of nat's
    }
  }
  Rewrite(context, burst);
  TranslateReplies(context, burst);
  CountVerdicts(context.counters, burst);
  return burst.count;
}

}  // namespace fairlead
