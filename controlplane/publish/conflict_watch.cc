#include "controlplane/publish/conflict_watch.h"

namespace fairlead {

std::optional<uint64_t> ConflictWatch::Observe(uint64_t total, SteadyTime now) {
  if (!reported_total_.has_value()) {
    reported_total_ = total;
    return std::nullopt;
  }
  if (total < *reported_total_) reported_total_ = 0;
  const uint64_t announcements = total - *reported_total_;
  if (announcements == 0) return std::nullopt;
  if (reported_at_.has_value() && now < *reported_at_ + kConflictEventPeriod) return std::nullopt;
  reported_total_ = total;
  reported_at_ = now;
  return announcements;
}

}  // namespace fairlead
