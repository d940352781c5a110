#include "lib/table/sweeper.h"

#include <algorithm>

namespace fairlead {

void Sweeper::Begin(const ForwardingTables* tables, uint32_t now_tick, bool any_records) {
  Stop();
  tables_ = tables;
  next_bucket_ = any_records ? 0 : flows_->bucket_count();
  if (tables == nullptr) return;
  uint32_t counter_count = 0;
  for (const BackendEntry& backend : tables->backends()) {
    counter_count = std::max(counter_count, backend.counter_index + 1);
  }
  for (const ServiceEntry& service : tables->services()) {
    service.slot_table->BeginCount(now_tick, service.idle_ticks, FormerTicksOf(service));
  }
  counting_.assign(counter_count, {});
  running_ = true;  // last, since the allocations above may fail
}

void Sweeper::Visit(uint32_t bucket, uint32_t index, uint64_t tag, const FlowRecord& record,
                    uint32_t now_tick) {
  const BackendEntry* backend = tables_->FindBackend(record.backend_id);
  const ServiceEntry* service =
      backend == nullptr ? nullptr : &tables_->services()[backend->service_index];
  if (service == nullptr || IsExpired(record, now_tick, service->idle_ticks)) {
    // Erase fails if a worker changed the record in the meantime. Then it is live, and is counted.
    if (flows_->Erase(bucket, index, tag, record.Pack()) || service == nullptr) return;
  }
  const uint32_t slot = SlotIndex({tag ^ service->salt.low, 0}, service->slot_count);
  const SlotTable::RecordSeen seen =
      service->slot_table->CountRecord(slot, tables_->LocalIndexOf(*service, backend));
  // In a settled slot no packet reads or refreshes the record. It would stay for T if it were not
  // erased here.
  if (seen.needless && service->records_only_differences &&
      flows_->Erase(bucket, index, tag, record.Pack())) {
    return;
  }
  BackendRecords& counted = counting_[backend->counter_index];
  // A backend that is down may recover before its flows end. Their records stay, and keep their
  // slots from settling on another backend, but they do not count as flows.
  if (backend->state != BackendState::kDown) {
    ++counted.flows;
    if (seen.disagrees) ++counted.pins;
  }
  // A record of class old is evicted early, since the flow's next packet makes it again. Here the
  // slot no longer tells the record's backend, so the record must not be lost: it gets class new.
  if (!seen.derivable && (record.flags & kRecordOld) != 0) {
    FlowRecord kept = record;
    kept.flags &= static_cast<uint8_t>(~kRecordOld);
    flows_->Update({tag, 0}, {bucket, index, record.Pack()}, kept);
  }
}

bool Sweeper::Step(uint32_t now_tick) {
  if (!running_) return false;
  flows_->Sweep(next_bucket_, kSliceBuckets,
                [&](uint32_t bucket, uint32_t index, uint64_t tag, const FlowRecord& record) {
                  Visit(bucket, index, tag, record, now_tick);
                });
  next_bucket_ += kSliceBuckets;
  if (next_bucket_ < flows_->bucket_count()) return false;
  End();
  return true;
}

void Sweeper::End() {
  running_ = false;
  slots_changed_ = false;
  for (const ServiceEntry& service : tables_->services()) {
    slots_changed_ |= service.slot_table->EndCount();
  }
  by_backend_.swap(counting_);
  records_ = 0;
  pins_ = 0;
  for (const BackendRecords& backend : by_backend_) {
    records_ += backend.flows;
    pins_ += backend.pins;
  }
}

}  // namespace fairlead
