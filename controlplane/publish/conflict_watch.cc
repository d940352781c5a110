#include "controlplane/publish/conflict_watch.h"

namespace fairlead {

std::optional<uint64_t> ConflictWatch::Observe(uint64_t total, SteadyTime now) {
  if (!told_total_.has_value()) {
    told_total_ = total;
    return std::nullopt;
  }
  if (total < *told_total_) told_total_ = 0;
  const uint64_t announcements = total - *told_total_;
  if (announcements == 0) return std::nullopt;
  if (told_at_.has_value() && now < *told_at_ + kConflictEventPeriod) return std::nullopt;
  told_total_ = total;
  told_at_ = now;
  return announcements;
}

}  // namespace fairlead
