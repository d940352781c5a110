#include "bench/pcc/simulation.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "bench/pcc/churn.h"
#include "bench/pcc/fleet.h"
#include "bench/pcc/random.h"
#include "bench/pcc/traffic.h"

namespace fairlead::pcc {
namespace {

constexpr uint32_t kSweepSteps = 5 * kStepsPerSecond;
constexpr uint32_t kFirstTick = 1000;

class Simulation {
 public:
  explicit Simulation(const Scenario& scenario)
      : scenario_(scenario),
        churn_(scenario.churn, scenario.seed * 3, &fleet_),
        traffic_(scenario.flows, scenario.seed * 3 + 1),
        flood_random_(scenario.seed * 3 + 2),
        contest_({scenario.balancers, scenario.records, scenario.slots, scenario.idle_timeout_s,
                  scenario.loss.full_rehash, scenario.second_chance},
                 &fleet_),
        back_at_step_(scenario.balancers, 0) {}

  Result Run() {
    const auto start = std::chrono::steady_clock::now();
    Result& result = contest_.result();
    contest_.Publish(kFirstTick);
    traffic_.StartPopulation([&](Flow* flow) { contest_.Admit(flow, kFirstTick); });
    for (step_ = 1; step_ <= scenario_.duration_s * kStepsPerSecond; ++step_) {
      tick_ = kFirstTick + step_ * kStepMs * kTicksPerSecond / 1000;
      if (churn_.Advance(uint64_t{step_} * kStepMs)) contest_.Publish(tick_);
      MoveBalancers();
      if (step_ % kSweepSteps == 0) contest_.Sweep(tick_);
      Flood();
      traffic_.Step(
          [&](Flow* flow, PacketKind kind) { return contest_.OnPacket(flow, kind, tick_); });
      result.flows_live_peak = std::max(result.flows_live_peak, uint64_t{traffic_.live()});
    }
    result.flows = traffic_.flows();
    result.changes = churn_.changes();
    result.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 private:
  void MoveBalancers() {
    const LossModel& loss = scenario_.loss;
    if (loss.interval_s == 0) return;
    for (uint32_t i = 0; i < scenario_.balancers; ++i) {
      if (back_at_step_[i] == 0 || step_ < back_at_step_[i]) continue;
      back_at_step_[i] = 0;
      contest_.Return(i, loss.comes_back_empty, tick_);
    }
    if (step_ % (loss.interval_s * kStepsPerSecond) != 0) return;
    const uint32_t lost = next_lost_++ % scenario_.balancers;
    back_at_step_[lost] = step_ + loss.away_s * kStepsPerSecond;
    contest_.Lose(lost);
  }

  void Flood() {
    flood_due_ += static_cast<double>(scenario_.syn_flood_per_s) / kStepsPerSecond;
    for (; flood_due_ >= 1; flood_due_ -= 1) {
      const FlowHash hash{flood_random_.Next(), flood_random_.Next()};
      contest_.OnSpoofedSyn(hash, tick_);
    }
  }

  const Scenario scenario_;
  Fleet fleet_;
  Churn churn_;
  Traffic traffic_;
  Random flood_random_;
  Contest contest_;
  std::vector<uint32_t> back_at_step_;  // by balancer; 0 = not away
  uint32_t next_lost_ = 0;
  uint32_t step_ = 0;
  uint32_t tick_ = kFirstTick;
  double flood_due_ = 0;
};

}  // namespace

Result Simulate(const Scenario& scenario) { return Simulation(scenario).Run(); }

}  // namespace fairlead::pcc
