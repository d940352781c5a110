#include "bench/pcc/balancer.h"

#include <algorithm>
#include <span>
#include <utility>

#include "lib/snapshot/view.h"

namespace fairlead::pcc {

Balancer::Balancer(uint64_t records, const ListPolicy& list_policy)
    : list_policy_(list_policy),
      memory_(FlowTable::BytesNeeded(records) / sizeof(Block) + 1),
      capacity_(records),
      flows_(FlowTable::Format(std::as_writable_bytes(std::span(memory_)), records)),
      sweeper_(&flows_),
      backend_slots_(kMaxBackendsPerService),
      service_slots_(1) {}

uint32_t Balancer::IdOf(const ForwardingTables& tables, uint16_t owner) const {
  const ServiceEntry& service = tables.services()[0];
  return owner == kNoOwner ? 0 : tables.backends()[service.first_backend + owner].id;
}

// Compares the slots of the generation in force with `next`'s.
void Balancer::Remember(const ForwardingTables& next, uint32_t now_tick) {
  const SlotTable& before = *tables_->services()[0].slot_table;
  const SlotTable& after = *next.services()[0].slot_table;
  if (&before == &after) return;
  for (uint32_t i = 0; i < after.size(); ++i) {
    const Slot was = before.Load(i);
    const Slot is = after.Load(i);
    const uint32_t was_id = IdOf(*tables_, was.current);
    if (was_id == IdOf(next, is.current)) continue;
    const bool window_goes_on =
        was.state == SlotState::kShifting && IdOf(*tables_, was.stable) == IdOf(next, is.stable);
    history_.Note(i, was_id, now_tick, list_policy_.keep == 0 && !window_goes_on);
  }
}

void Balancer::Publish(const SnapshotImage& image, uint32_t now_tick) {
  std::unique_ptr<ForwardingTables> next =
      ForwardingTables::Build(SnapshotView(image.bytes()), {tables_.get(), now_tick}, {},
                              &backend_slots_, &service_slots_, nullptr)
          .value();
  if (tables_ != nullptr) Remember(*next, now_tick);
  tables_ = std::move(next);
  std::vector<uint32_t> live;
  for (const BackendEntry& backend : tables_->backends()) live.push_back(backend.id);
  std::sort(live.begin(), live.end());
  backend_slots_.Retain(live);
}

void Balancer::Forget() {
  flows_ = FlowTable::Format(std::as_writable_bytes(std::span(memory_)), capacity_);
  tables_.reset();
  history_.Clear();
}

Balancer::Answer Balancer::Select(const FlowHash& hash, const PacketFacts& facts,
                                  uint32_t now_tick) {
  const ServiceEntry& service = tables_->services()[0];
  const uint32_t word = SlotWord(service, hash)->load(std::memory_order_relaxed);
  const Selection selection =
      SelectBackend(*tables_, service, word, hash, facts, now_tick, &flows_);
  Answer answer;
  if (selection.backend_index != kNoIndex) {
    answer.backend_id = tables_->backends()[selection.backend_index].id;
  }
  answer.looked_up = NeedsRecord(service, facts.protocol, word);
  answer.evicted = selection.evicted;
  return answer;
}

Candidates Balancer::CandidatesOf(const FlowHash& hash, uint32_t chosen, uint32_t now_tick) const {
  const ServiceEntry& service = tables_->services()[0];
  const uint32_t slot = SlotIndex(hash, service.slot_count);
  const Slot state = service.slot_table->Load(slot);
  uint32_t keep_ticks = static_cast<uint32_t>(list_policy_.keep * service.idle_ticks);
  if (list_policy_.keep == 0) {
    if (state.state != SlotState::kShifting) return {};
    keep_ticks = kTickMask;
  }
  return history_.List(slot, IdOf(*tables_, state.current), chosen, now_tick, keep_ticks,
                       list_policy_.count, *tables_);
}

void Balancer::Sweep(uint32_t now_tick) {
  sweeper_.Begin(tables_.get(), now_tick);
  while (!sweeper_.Step(now_tick)) {
  }
}

}  // namespace fairlead::pcc
