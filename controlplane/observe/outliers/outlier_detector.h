// Finds the backends of one service that leave many more handshakes unanswered than its others, and
// decides which of them are ejected, and for how long. No clocks, no I/O; one thread.
//
// The dataplane counts followed handshakes (dataplane/pipeline/handshake_table.h). A backend is an
// outlier if, within the last 10 s,
//   - 30 or more of its handshakes ended,
//   - more than half of them were not answered, and
//   - that share is at least three times the median of the service's backends.
//
// A SYN flood from forged addresses is unanswered at all backends alike. So the median is as high
// as any share, and no backend is an outlier. For the same reason there is none if most backends
// fail: the median then tells nothing.
//
// The median is of the backends with 10 or more handshakes, the lower of two in the middle. So one
// of two backends can be an outlier. There must be two to compare.
//
// Ejection: the worst outlier first, at most one backend or a tenth of the service's, and never so
// many that too few others take new flows. It lasts 30 s, then twice as long each time, up to
// 10 min. After 10 min without an ejection, a backend starts at 30 s again. A backend that comes
// back is judged by new handshakes only.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "controlplane/common/time.h"
#include "controlplane/core/status_board.h"
#include "lib/intent/model.h"

namespace fairlead {

inline constexpr std::chrono::seconds kOutlierWindow{10};
inline constexpr uint64_t kOutlierSamples = 30;
inline constexpr uint64_t kMedianSamples = 10;
inline constexpr uint64_t kOutlierTimesMedian = 3;
inline constexpr std::chrono::seconds kFirstEjection{30};
inline constexpr std::chrono::seconds kLongestEjection{600};

// One backend as seen with one answer of statistics.
struct OutlierInput {
  uint32_t backend_id = 0;
  bool takes_new_flows = false;  // unless it is ejected
  bool is_counted = false;       // false: the dataplane does not have it yet
  uint64_t sampled = 0;          // since the dataplane's start
  uint64_t unanswered = 0;
};

class OutlierDetector {
 public:
  // `is_outlier` false: the backend is no outlier any more, or its ejection is over.
  struct Change {
    uint32_t backend_id = 0;
    OutlierStatus status;  // without since_ms
  };

  // Of all backends of the service. `policy` is not kOff. `keep`: how many backends must still take
  // new flows, whatever the others do; 0 counts as 1.
  std::vector<Change> OnCounts(SteadyTime now, OutlierPolicy policy,
                               std::span<const OutlierInput> backends, size_t keep = 0);

  // The same without new counts: ends ejections that are over, that `policy` does not allow, or
  // without which too few backends would take new flows.
  std::vector<Change> Update(SteadyTime now, OutlierPolicy policy,
                             std::span<const OutlierInput> backends, size_t keep = 0);

  // The dataplane's counts begin anew. Ejections stay.
  void ForgetCounts();

  // The earliest end of an ejection; nullopt: there is none.
  std::optional<SteadyTime> next_end() const;

 private:
  struct Counts {
    SteadyTime at;
    uint64_t sampled = 0;
    uint64_t unanswered = 0;
  };
  struct Backend {
    std::deque<Counts> history;  // oldest first
    bool is_outlier = false;
    SteadyTime last_outlier;              // when it last was one
    std::chrono::seconds ejected_for{0};  // 0: not ejected
    SteadyTime ejected_until;             // also of the last ejection
    std::chrono::seconds last_ejection{0};
  };
  // A backend's handshakes within the window.
  struct Share {
    uint32_t backend_id = 0;
    bool takes_new_flows = false;
    uint64_t sampled = 0;
    uint64_t unanswered = 0;
    double value() const {
      return sampled == 0 ? 0 : static_cast<double>(unanswered) / static_cast<double>(sampled);
    }
  };

  static bool IsOutlier(const Share& share, const Share& median);
  void Follow(std::span<const OutlierInput> backends);
  std::vector<Share> AddCounts(SteadyTime now, std::span<const OutlierInput> backends);
  // Ends the ejection, or the state of an observed outlier.
  static void End(Backend* backend);
  void Eject(SteadyTime now, Backend* backend);
  // How many further backends may be ejected now.
  size_t FreeEjections(std::span<const OutlierInput> backends, size_t keep) const;

  std::map<uint32_t, Backend> backends_;  // by id
};

}  // namespace fairlead
