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
  // Each interval one of: a backend drains (4 in 10) or dies (1 in 20), another one comes (or a
  // draining one is taken back), as often; or a weight changes (1 in 10). As many come as go.
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

  // Does all that is due by `now_ms`. True when the fleet has changed. Calls must not go back.
  bool Advance(uint64_t now_ms);
  // Those that the model counts: the end of a drain, which moves no slot, is none.
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
