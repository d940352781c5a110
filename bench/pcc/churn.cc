#include "bench/pcc/churn.h"

#include <algorithm>
#include <iterator>

#include "lib/base/check.h"

namespace fairlead::pcc {
namespace {

constexpr uint16_t kWeight = 10;
constexpr uint16_t kWeights[] = {5, 8, 10, 15, 20};

}  // namespace

Churn::Churn(const ChurnModel& model, uint64_t seed, Fleet* fleet)
    : model_(model), random_(seed), fleet_(fleet), next_ms_(model.interval_ms) {
  for (uint32_t i = 0; i < model.backends; ++i) fleet_->Add(next_address_++, kWeight);
}

bool Churn::Advance(uint64_t now_ms) {
  bool changed = false;
  while (!follow_ups_.empty() && follow_ups_.top().at_ms <= now_ms) {
    const FollowUp due = follow_ups_.top();
    follow_ups_.pop();
    changed |= Finish(due);
  }
  while (model_.kind != ChurnKind::kNone && next_ms_ <= now_ms) {
    Change(next_ms_);
    next_ms_ += model_.interval_ms;
    ++changes_;
    changed = true;
  }
  return changed;
}

bool Churn::Finish(const FollowUp& due) {
  const Member* const member = fleet_->Find(due.id);
  if (member == nullptr) return false;
  if (due.kind == FollowUp::Kind::kUp) {
    fleet_->SetState(due.id, BackendState::kActive);
    return true;
  }
  const auto is_it = [&](const Drain& drain) {
    return drain.id == due.id && drain.deadline_ms == due.at_ms;
  };
  const bool ends = std::erase_if(draining_, is_it) != 0;
  if (!ends && member->state != BackendState::kDown) return false;  // it was undrained
  gone_.push_back(member->address);
  fleet_->Remove(due.id);
  return true;
}

uint32_t Churn::RandomActive() {
  CHECK(fleet_->active_count() > 1);
  for (;;) {
    const auto count = static_cast<uint32_t>(fleet_->members().size());
    const Member& member = fleet_->members()[random_.Below(count)];
    if (member.state == BackendState::kActive) return member.id;
  }
}

void Churn::DrainOne(uint32_t id, uint64_t now_ms) {
  fleet_->SetState(id, BackendState::kDraining);
  draining_.push_back({id, now_ms + model_.drain_ms});
  follow_ups_.push({now_ms + model_.drain_ms, id, FollowUp::Kind::kRemove});
}

// Adds a new address or one that was removed before, or undrains a backend.
void Churn::Come() {
  const uint32_t kind = random_.Below(3);
  if (kind == 0 && !draining_.empty()) {
    const size_t which = random_.Below(static_cast<uint32_t>(draining_.size()));
    fleet_->SetState(draining_[which].id, BackendState::kActive);
    draining_.erase(draining_.begin() + static_cast<ptrdiff_t>(which));
    return;
  }
  if (kind == 1 && !gone_.empty()) {
    const size_t which = random_.Below(static_cast<uint32_t>(gone_.size()));
    fleet_->Add(gone_[which], kWeight);
    gone_.erase(gone_.begin() + static_cast<ptrdiff_t>(which));
    return;
  }
  fleet_->Add(next_address_++, kWeight);
}

void Churn::ChangeWeight() {
  const uint32_t id = RandomActive();
  uint16_t weight = 0;
  do {
    weight = kWeights[random_.Below(std::size(kWeights))];
  } while (weight == fleet_->Find(id)->weight);
  fleet_->SetWeight(id, weight);
}

void Churn::ChangeMixed(uint64_t now_ms) {
  if (random_.Chance(0.1)) {
    ChangeWeight();
    return;
  }
  // Tends towards the model's number of backends.
  const uint32_t active = fleet_->active_count();
  const double leaves = active > model_.backends ? 0.75 : active < model_.backends ? 0.25 : 0.5;
  if (!random_.Chance(leaves)) {
    Come();
  } else if (random_.Chance(0.1)) {
    const uint32_t id = RandomActive();
    fleet_->SetState(id, BackendState::kDown);
    follow_ups_.push({now_ms + 30'000, id, FollowUp::Kind::kRemove});
  } else {
    DrainOne(RandomActive(), now_ms);
  }
}

void Churn::Change(uint64_t now_ms) {
  switch (model_.kind) {
    case ChurnKind::kNone:
      break;
    case ChurnKind::kMixed:
      ChangeMixed(now_ms);
      break;
    case ChurnKind::kFlaps: {
      const uint32_t id = RandomActive();
      fleet_->SetState(id, BackendState::kDown);
      follow_ups_.push({now_ms + 4'000 + random_.Below(11'000), id, FollowUp::Kind::kUp});
      break;
    }
    case ChurnKind::kRolling:
      if (next_rolling_ > model_.backends) break;
      fleet_->Add(next_address_++, kWeight);
      DrainOne(next_rolling_++, now_ms);
      break;
  }
}

}  // namespace fairlead::pcc
