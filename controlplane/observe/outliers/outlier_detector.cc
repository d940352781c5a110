#include "controlplane/observe/outliers/outlier_detector.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace fairlead {
namespace {

uint32_t ToPercent(double share) { return static_cast<uint32_t>(std::lround(share * 100)); }

}  // namespace

void OutlierDetector::End(Backend* backend) {
  backend->is_outlier = false;
  backend->ejected_for = std::chrono::seconds(0);
  backend->history.clear();
}

void OutlierDetector::Eject(SteadyTime now, Backend* backend) {
  const bool again =
      backend->last_ejection.count() != 0 && now < backend->ejected_until + kLongestEjection;
  backend->ejected_for =
      again ? std::min(2 * backend->last_ejection, kLongestEjection) : kFirstEjection;
  backend->last_ejection = backend->ejected_for;
  backend->ejected_until = now + backend->ejected_for;
}

std::optional<SteadyTime> OutlierDetector::next_end() const {
  std::optional<SteadyTime> next;
  for (const auto& [id, backend] : backends_) {
    if (backend.ejected_for.count() == 0) continue;
    if (!next.has_value() || backend.ejected_until < *next) next = backend.ejected_until;
  }
  return next;
}

void OutlierDetector::ForgetCounts() {
  for (auto& [id, backend] : backends_) backend.history.clear();
}

// Adds new backends and removes deleted ones.
void OutlierDetector::Follow(std::span<const OutlierInput> backends) {
  std::set<uint32_t> present;
  for (const OutlierInput& each : backends) {
    present.insert(each.backend_id);
    backends_.try_emplace(each.backend_id);
  }
  std::erase_if(backends_, [&](const auto& entry) { return !present.contains(entry.first); });
}

std::vector<OutlierDetector::Share> OutlierDetector::AddCounts(
    SteadyTime now, std::span<const OutlierInput> backends) {
  std::vector<Share> shares;
  for (const OutlierInput& each : backends) {
    std::deque<Counts>& history = backends_.at(each.backend_id).history;
    if (!each.is_counted) {
      history.clear();
      continue;
    }
    // The dataplane was restarted.
    if (!history.empty() &&
        (each.sampled < history.back().sampled || each.unanswered < history.back().unanswered)) {
      history.clear();
    }
    history.push_back({now, each.sampled, each.unanswered});
    while (history.size() > 1 && history[1].at <= now - kOutlierWindow) history.pop_front();
    shares.push_back({.backend_id = each.backend_id,
                      .takes_new_flows = each.takes_new_flows,
                      .sampled = each.sampled - history.front().sampled,
                      .unanswered = each.unanswered - history.front().unanswered});
  }
  return shares;
}

size_t OutlierDetector::FreeEjections(std::span<const OutlierInput> backends, size_t keep) const {
  size_t ejected = 0;
  size_t taking = 0;
  for (const OutlierInput& each : backends) {
    const bool is_ejected = backends_.at(each.backend_id).ejected_for.count() != 0;
    ejected += is_ejected ? 1 : 0;
    taking += each.takes_new_flows && !is_ejected ? 1 : 0;
  }
  const size_t most = std::max<size_t>(1, backends.size() / 10);
  const size_t least = std::max<size_t>(1, keep);
  return std::min(most > ejected ? most - ejected : 0, taking > least ? taking - least : 0);
}

std::vector<OutlierDetector::Change> OutlierDetector::Update(SteadyTime now, OutlierPolicy policy,
                                                             std::span<const OutlierInput> backends,
                                                             size_t keep) {
  Follow(backends);
  std::vector<Change> changes;
  size_t taking = 0;
  std::vector<std::pair<SteadyTime, uint32_t>> ejected;  // by their end
  for (const OutlierInput& each : backends) {
    Backend& backend = backends_.at(each.backend_id);
    if (backend.ejected_for.count() == 0) {
      taking += each.takes_new_flows ? 1 : 0;
    } else if (now >= backend.ejected_until || policy != OutlierPolicy::kEject) {
      End(&backend);
      changes.push_back({each.backend_id, {}});
      taking += each.takes_new_flows ? 1 : 0;
    } else if (each.takes_new_flows) {
      ejected.emplace_back(backend.ejected_until, each.backend_id);
    }
  }
  // Other backends have failed since: the ejected ones are better than nothing.
  std::ranges::sort(ejected);
  for (const auto& [until, id] : ejected) {
    if (taking >= std::max<size_t>(1, keep)) break;
    backends_.at(id).ejected_until = now;
    End(&backends_.at(id));
    changes.push_back({id, {}});
    ++taking;
  }
  return changes;
}

// Without rounding: a share of 60 % is three times one of 20 %.
bool OutlierDetector::IsOutlier(const Share& share, const Share& median) {
  return share.sampled >= kOutlierSamples && 2 * share.unanswered > share.sampled &&
         share.unanswered * median.sampled >=
             kOutlierTimesMedian * median.unanswered * share.sampled;
}

std::vector<OutlierDetector::Change> OutlierDetector::OnCounts(
    SteadyTime now, OutlierPolicy policy, std::span<const OutlierInput> backends, size_t keep) {
  std::vector<Change> changes = Update(now, policy, backends, keep);
  std::vector<Share> shares = AddCounts(now, backends);
  std::vector<Share> compared;
  for (const Share& share : shares) {
    if (share.sampled >= kMedianSamples) compared.push_back(share);
  }
  std::ranges::sort(compared, {}, &Share::value);
  const bool comparable = compared.size() >= 2;
  const Share median = comparable ? compared[(compared.size() - 1) / 2] : Share();
  // The worst first.
  std::ranges::sort(shares, std::ranges::greater(), &Share::value);
  for (const Share& share : shares) {
    Backend& backend = backends_.at(share.backend_id);
    if (backend.ejected_for.count() != 0) continue;
    const bool is_outlier = comparable && share.takes_new_flows && IsOutlier(share, median);
    if (!is_outlier) {
      if (!backend.is_outlier || now < backend.last_outlier + kOutlierWindow) continue;
      backend.is_outlier = false;
      changes.push_back({share.backend_id, {}});
      continue;
    }
    backend.last_outlier = now;
    const bool eject = policy == OutlierPolicy::kEject && FreeEjections(backends, keep) > 0;
    if (backend.is_outlier && !eject) continue;
    backend.is_outlier = true;
    if (eject) Eject(now, &backend);
    changes.push_back({share.backend_id,
                       {.is_outlier = true,
                        .ejected_for = backend.ejected_for,
                        .sampled = static_cast<uint32_t>(share.sampled),
                        .unanswered_percent = ToPercent(share.value()),
                        .median_percent = ToPercent(median.value())}});
  }
  return changes;
}

}  // namespace fairlead
