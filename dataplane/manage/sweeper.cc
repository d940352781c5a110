#include "dataplane/manage/sweeper.h"

#include <algorithm>

#include "lib/table/select.h"

namespace fairlead {

void Sweeper::Begin(const ForwardingTables* tables, std::span<const uint32_t> idle_ticks) {
  tables_ = tables;
  idle_ticks_ = idle_ticks;
  running_ = true;
  next_bucket_ = 0;
  counting_ = 0;
  uint32_t slots = 0;
  if (tables != nullptr) {
    for (const BackendEntry& backend : tables->backends()) {
      slots = std::max(slots, backend.counter_index + 1);
    }
  }
  counting_by_slot_.assign(slots, 0);
}

void Sweeper::Visit(uint32_t bucket, uint32_t index, uint64_t tag, const FlowRecord& record,
                    uint32_t now_tick) {
  const BackendEntry* backend =
      tables_ == nullptr ? nullptr : tables_->FindBackend(record.backend_id);
  const bool useless = backend == nullptr || backend->state == BackendState::kDown ||
                       IsExpired(record, now_tick, idle_ticks_[backend->service_index]);
  if (useless) {
    // Keeps its hands off a record that changed meanwhile: it is in use again.
    flows_->Erase(bucket, index, tag, record.Pack());
    return;
  }
  ++counting_;
  ++counting_by_slot_[backend->counter_index];
}

bool Sweeper::Step(uint32_t now_tick) {
  if (!running_) return false;
  flows_->Sweep(next_bucket_, kSliceBuckets,
                [&](uint32_t bucket, uint32_t index, uint64_t tag, const FlowRecord& record) {
                  Visit(bucket, index, tag, record, now_tick);
                });
  next_bucket_ += kSliceBuckets;
  if (next_bucket_ < flows_->bucket_count()) return false;
  running_ = false;
  records_ = counting_;
  flows_by_slot_.swap(counting_by_slot_);
  return true;
}

}  // namespace fairlead
