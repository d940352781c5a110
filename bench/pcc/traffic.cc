#include "bench/pcc/traffic.h"

#include <algorithm>

#include "lib/base/check.h"

namespace fairlead::pcc {

Traffic::Traffic(const FlowModel& model, uint64_t seed)
    : model_(model), random_(seed), wheel_(kWheelSteps, kNone) {
  CHECK(std::max(model.keepalive_max_s, model.sleep_max_s) * kStepsPerSecond < kWheelSteps);
}

uint32_t Traffic::Make(double* duration_s) {
  uint32_t index = unused_;
  if (index == kNone) {
    index = static_cast<uint32_t>(pool_.size());
    pool_.emplace_back();
  } else {
    unused_ = pool_[index].next;
  }
  ++live_;
  Flow flow;
  flow.hash = {random_.Next(), random_.Next()};
  const double kind = random_.Unit();
  const bool idle = kind <= model_.idle_share;
  flow.sleeps = !idle && kind <= model_.idle_share + model_.sleeping_share;
  flow.vanishes = random_.Chance(model_.vanish_share);
  *duration_s = idle || flow.sleeps
                    ? random_.LogNormal(model_.idle_duration_median_s, model_.idle_duration_sigma)
                    : random_.LogNormal(model_.duration_median_s, model_.duration_sigma);
  *duration_s = std::min(*duration_s, model_.duration_max_s);
  const double gap_s =
      std::clamp(random_.LogNormal(model_.gap_median_s, model_.gap_sigma), 0.1, 60.0);
  flow.gap_s = static_cast<float>(idle || flow.sleeps ? 0 : gap_s);
  flow.keepalive_s = static_cast<float>(
      flow.sleeps ? random_.Between(model_.sleep_min_s, model_.sleep_max_s)
                  : random_.Between(model_.keepalive_min_s, model_.keepalive_max_s));
  pool_[index] = flow;
  return index;
}

void Traffic::Release(uint32_t index) {
  pool_[index].next = unused_;
  unused_ = index;
  --live_;
}

void Traffic::Schedule(uint32_t index, uint32_t step) {
  DCHECK(step > step_ && step - step_ < kWheelSteps);
  uint32_t& head = wheel_[step % kWheelSteps];
  pool_[index].next = head;
  head = index;
}

double Traffic::Gap(const Flow& flow) {
  if (flow.gap_s <= 0) return flow.keepalive_s;
  return std::min(random_.Exponential(flow.gap_s), static_cast<double>(flow.keepalive_s));
}

void Traffic::ScheduleNext(uint32_t index) {
  Flow& flow = pool_[index];
  // After the SYN, a round trip of 50 to 200 ms.
  const uint32_t steps = flow.packets == 1 ? 1 + random_.Below(4)
                                           : 1 + static_cast<uint32_t>(Gap(flow) * kStepsPerSecond);
  const uint32_t due = step_ + steps;
  if (due < flow.end_step) {
    Schedule(index, due);
    return;
  }
  if (flow.packets == 1) flow.end_step = std::max(flow.end_step, due + 1);
  Schedule(index, flow.packets == 1 ? due : flow.end_step);
}

}  // namespace fairlead::pcc
