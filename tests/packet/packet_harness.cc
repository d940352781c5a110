#include "tests/packet/packet_harness.h"

#include <cstdlib>
#include <utility>

#include "lib/base/check.h"
#include "lib/snapshot/view.h"

namespace fairlead {

void PacketHarness::Free::operator()(void* memory) const { std::free(memory); }

Result<std::unique_ptr<PacketHarness>> PacketHarness::Create(const PacketVariant& variant) {
  std::unique_ptr<PacketHarness> harness(new PacketHarness(variant));
  const std::span<const MacAddress> macs(harness->variant_.macs);
  const EgressPort& port = harness->variant_.port;
  harness->ports_.push_back(
      PortView::Make(macs.front(), macs.subspan(1), port.mtu, port.addresses));
  harness->backend_indices_ = std::make_unique<CounterIndices>(kMaxBackendCounters);
  harness->service_indices_ = std::make_unique<CounterIndices>(kMaxServiceCounters);
  ASSIGN_OR_RETURN(harness->tables_,
                   ForwardingTables::Build(SnapshotView(harness->variant_.image.bytes()), {},
                                           {&port, 1}, harness->backend_indices_.get(),
                                           harness->service_indices_.get(), nullptr));
  harness->flow_memory_.reset(
      std::aligned_alloc(64, (FlowTable::BytesNeeded(kFlowRecords) + 63) / 64 * 64));
  CHECK(harness->flow_memory_ != nullptr);
  ASSIGN_OR_RETURN(WorkerCounters counters, WorkerCounters::Create());
  harness->counters_ = std::make_unique<WorkerCounters>(std::move(counters));
  harness->Reset();
  return harness;
}

void PacketHarness::Reset() {
  const std::span<std::byte> memory(static_cast<std::byte*>(flow_memory_.get()),
                                    FlowTable::BytesNeeded(kFlowRecords));
  flows_ = std::make_unique<FlowTable>(FlowTable::Format(memory, kFlowRecords));
  counters_->totals = {};
  counters_->new_flows = 0;
  buffers_ = std::make_unique<PlainBuffers>();
  context_.tables = tables_.get();
  context_.flows = flows_.get();
  context_.ports = ports_;
  context_.now_tick = 100;
  context_.now_us = 1'000'000;
  context_.echo_replies = TokenBucket(variant_.replies_per_second, variant_.replies_per_second);
  context_.neighbour_replies = context_.echo_replies;
  context_.icmp_errors =
      TokenBucket(variant_.icmp_errors_per_second, variant_.icmp_errors_per_second);
  context_.resets = context_.icmp_errors;
  context_.counters = counters_.get();
  handshakes_.Clear();
  context_.handshakes = &handshakes_;
  context_.buffers = buffers_.get();
  ResetFragments();
}

void PacketHarness::ResetFragments() {
  fragment_map_ = std::make_unique<FragmentMap>(kFragmentedDatagrams, 1);
  fragments_ = std::make_unique<FragmentStore>(fragment_map_.get(), FragmentStoreSettings{});
  context_.fragments = fragments_.get();
}

PacketHarness::Outcome PacketHarness::Collect(const Burst& burst) {
  Outcome outcome;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    PacketFate left{burst.verdict[i], burst.reason[i], {}};
    if (left.verdict == Verdict::kForward || left.verdict == Verdict::kAnswer) {
      left.frame = buffers_->Content(burst, i);
      CountSent(counters_.get(), 1, left.frame.size());
    }
    if (left.verdict != Verdict::kHeld) buffers_->Free(burst.handle[i]);
    outcome.packets.push_back(std::move(left));
  }
  for (uint32_t n = 0; n < burst.made_count; ++n) {
    const MadeFrame& made = burst.made[n];
    outcome.made.emplace_back(made.frame, made.frame + made.length);
    bytes += made.length;
    buffers_->Free(made.handle);
  }
  if (burst.made_count != 0) CountSent(counters_.get(), burst.made_count, bytes);
  return outcome;
}

void PacketHarness::FreeBuffers(const Burst& burst) {
  for (uint32_t i = 0; i < burst.count; ++i) buffers_->Free(burst.handle[i]);
  for (uint32_t n = 0; n < burst.made_count; ++n) buffers_->Free(burst.made[n].handle);
}

PacketHarness::Outcome PacketHarness::Process(Burst* burst) {
  ProcessBurst(context_, *burst);
  return Collect(*burst);
}

PacketHarness::Outcome PacketHarness::Release(bool all) {
  Outcome outcome;
  Burst burst;
  uint32_t released;
  do {
    released = ReleaseFragments(context_, burst, all);
    burst.count = released;
    Outcome more = Collect(burst);
    for (PacketFate& left : more.packets) outcome.packets.push_back(std::move(left));
    for (std::vector<uint8_t>& frame : more.made) outcome.made.push_back(std::move(frame));
  } while (released == kMaxBurst);
  return outcome;
}

bool PacketHarness::IsConserved() const {
  const PacketTotals& totals = counters_->totals;
  uint64_t drops = 0;
  for (const uint64_t count : totals.drops) drops += count;
  return totals.rx_packets + totals.generated == totals.tx_packets + drops + totals.to_kernel;
}

}  // namespace fairlead
