// The flows: when they begin, how long they live, when they send.
//
// A packet of the simulation stands for a train of packets. All packets of a train get the same
// treatment, because balancers change in much longer steps. Two trains are at least one step (50
// ms) apart.
//
//   arrival    SYN
//   + 1 RTT    ACK and first data
//   + gaps     data, until the flow's end; each gap exponential about the flow's own mean, and
//              never longer than its keep-alive
//   end        FIN, or nothing (a client that vanished)
//
// Three kinds of flow: active; idle (nothing but keep-alives); sleeping (silent for longer than the
// service's idle timeout). docs/survival.md has the numbers and where they come from.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "bench/pcc/random.h"
#include "lib/flow/flow_hash.h"
#include "lib/net/headers.h"
#include "lib/table/select.h"

namespace fairlead::pcc {

inline constexpr uint32_t kStepMs = 50;
inline constexpr uint32_t kStepsPerSecond = 1000 / kStepMs;

struct FlowModel {
  double arrivals_per_s = 500;
  double duration_median_s = 2.8;
  double duration_sigma = 2.66;
  double duration_max_s = 7200;
  double gap_median_s = 4;  // of the flows' mean gaps
  double gap_sigma = 1;
  double keepalive_min_s = 30;
  double keepalive_max_s = 300;
  double idle_share = 0.01;
  double idle_duration_median_s = 600;
  double idle_duration_sigma = 1;
  double sleeping_share = 0;
  double sleep_min_s = 360;
  double sleep_max_s = 1200;
  double vanish_share = 0.1;
};

struct Flow {
  FlowHash hash;
  uint32_t end_step = 0;
  uint32_t next = 0;  // in the wheel's list, or in the list of unused flows
  float gap_s = 0;    // mean; 0: each gap is a keep-alive
  float keepalive_s = 0;
  uint32_t backend_id = 0;  // of the first packet; set by Contest
  uint8_t broken = 0;       // a bit for each System; set by Contest
  uint8_t packets = 0;      // 0, 1, 2 = or more
  bool vanishes = false;
  bool sleeps = false;
};

enum class PacketKind : uint8_t { kSyn, kData, kFin };

inline PacketFacts FactsOf(PacketKind kind) {
  switch (kind) {
    case PacketKind::kSyn:
      return {kIpProtoTcp, kTcpSyn, false};
    case PacketKind::kData:
      return {kIpProtoTcp, kTcpAck, true};
    case PacketKind::kFin:
      return {kIpProtoTcp, kTcpFin | kTcpAck, false};
  }
  return {};
}

class Traffic {
 public:
  Traffic(const FlowModel& model, uint64_t seed);

  // The flows that live at step 0, as if the model had run for duration_max_s before: calls
  // born(Flow*) for each. Their first packet was before.
  template <typename Born>
  void StartPopulation(Born&& born);

  // Calls packet(Flow*, PacketKind) for each packet of the next step; false ends the flow.
  template <typename Packet>
  void Step(Packet&& packet);

  uint64_t flows() const { return flows_; }  // all so far, including those of StartPopulation
  uint32_t live() const { return live_; }

 private:
  static constexpr uint32_t kNone = 0xffffffff;
  // Longer than any gap.
  static constexpr uint32_t kWheelSteps = 1U << 15;

  uint32_t Make(double* duration_s);
  void Release(uint32_t index);
  void Schedule(uint32_t index, uint32_t step);
  double Gap(const Flow& flow);
  // Schedules the flow's next packet.
  void ScheduleNext(uint32_t index);

  FlowModel model_;
  Random random_;
  std::vector<Flow> pool_;
  std::vector<uint32_t> wheel_;
  uint32_t unused_ = kNone;
  uint32_t step_ = 0;
  uint64_t flows_ = 0;
  uint32_t live_ = 0;
};

template <typename Born>
void Traffic::StartPopulation(Born&& born) {
  const auto count = static_cast<uint64_t>(model_.arrivals_per_s * model_.duration_max_s);
  for (uint64_t i = 0; i < count; ++i) {
    double duration_s = 0;
    const uint32_t index = Make(&duration_s);
    const double age_s = random_.Between(0, model_.duration_max_s);
    if (age_s >= duration_s) {
      Release(index);
      continue;
    }
    ++flows_;
    pool_[index].end_step = static_cast<uint32_t>((duration_s - age_s) * kStepsPerSecond) + 1;
    pool_[index].packets = 2;
    born(&pool_[index]);
    // Somewhere within a gap.
    const double rest_s = Gap(pool_[index]) * random_.Unit();
    Schedule(index,
             std::min(pool_[index].end_step, static_cast<uint32_t>(rest_s * kStepsPerSecond) + 1));
  }
}

template <typename Packet>
void Traffic::Step(Packet&& packet) {
  ++step_;
  for (uint32_t arrivals = random_.Poisson(model_.arrivals_per_s / kStepsPerSecond); arrivals > 0;
       --arrivals) {
    double duration_s = 0;
    const uint32_t index = Make(&duration_s);
    ++flows_;
    pool_[index].end_step = step_ + 1 + static_cast<uint32_t>(duration_s * kStepsPerSecond);
    packet(&pool_[index], PacketKind::kSyn);
    pool_[index].packets = 1;
    ScheduleNext(index);
  }
  uint32_t index = std::exchange(wheel_[step_ % kWheelSteps], kNone);
  while (index != kNone) {
    Flow& flow = pool_[index];
    const uint32_t next = flow.next;
    const bool ends = step_ >= flow.end_step;
    bool lives = true;
    if (!ends || !flow.vanishes) lives = packet(&flow, ends ? PacketKind::kFin : PacketKind::kData);
    flow.packets = 2;
    if (ends || !lives) {
      Release(index);
    } else {
      ScheduleNext(index);
    }
    index = next;
  }
}

}  // namespace fairlead::pcc
