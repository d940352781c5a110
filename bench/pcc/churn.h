// What happens to the backends over time.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "bench/pcc/fleet.h"
#include "bench/pcc/random.h"

namespace fairlead::pcc {

enum class ChurnKind : uint8_t {
  kNone,
  // Each interval one change. Of 20, about 8 drain a backend and 1 lets one die, 9 add a backend or
  // undrain one, and 2 change a weight. As many backends come as go.
  kMixed,
  kFlaps,    // each interval a backend fails its health check, for 4 to 15 s
  kRolling,  // each interval a backend drains and a new one, of another address, takes its place
};

struct ChurnModel {
  ChurnKind kind = ChurnKind::kNone;
  uint32_t backends = 468;
  uint32_t interval_ms = 20'000;
  uint32_t drain_ms = 300'000;  // from drain to removal: the default deadline
};

class Churn {
 public:
  // Fills `fleet` with the model's backends.
  Churn(const ChurnModel& model, uint64_t seed, Fleet* fleet);

  // Makes all changes that are due by `now_ms`. True if the fleet changed. REQUIRES that `now_ms`
  // does not decrease.
  bool Advance(uint64_t now_ms);
  // The changes so far. The end of a drain does not count, because it moves no slot.
  uint64_t changes() const { return changes_; }

 private:
  struct FollowUp {
    uint64_t at_ms;
    uint32_t id;
    enum class Kind : uint8_t { kRemove, kUp } kind;
    bool operator>(const FollowUp& other) const {
      return at_ms != other.at_ms ? at_ms > other.at_ms : id > other.id;
    }
  };

  void Change(uint64_t now_ms);
  void ChangeMixed(uint64_t now_ms);
  void Come();
  void ChangeWeight();
  void DrainOne(uint32_t id, uint64_t now_ms);
  uint32_t RandomActive();
  bool Finish(const FollowUp& due);

  ChurnModel model_;
  Random random_;
  Fleet* fleet_;
  uint64_t next_ms_;
  uint64_t changes_ = 0;
  uint32_t next_address_ = 0x0a000001;
  uint32_t next_rolling_ = 1;   // id
  std::vector<uint32_t> gone_;  // addresses of removed backends
  struct Drain {
    uint32_t id;
    uint64_t deadline_ms;
  };
  std::vector<Drain> draining_;
  std::priority_queue<FollowUp, std::vector<FollowUp>, std::greater<>> follow_ups_;
};

}  // namespace fairlead::pcc
