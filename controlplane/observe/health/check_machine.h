// The state of one check: counts equal results in a row, and decides when the state changes. No
// sockets, no clocks; one thread.
//
//   initial     first pass -> healthy; `fall` failures in a row -> unhealthy
//   healthy     `fall` failures in a row -> unhealthy
//   unhealthy   `rise` passes in a row -> healthy
//
// Each probe has a number. Only the answer to the newest probe counts, and only once. So a late
// answer to an abandoned or older probe changes nothing.
#pragma once

#include <cstdint>

#include "controlplane/core/status_board.h"

namespace fairlead {

class CheckMachine {
 public:
  // `state`: the state to start from.
  CheckMachine(uint32_t rise, uint32_t fall, HealthState state)
      : rise_(rise), fall_(fall), state_(state) {}

  HealthState state() const { return state_; }

  // Begins a probe and returns its number.
  uint64_t Begin() {
    waiting_ = true;
    return ++probe_;
  }

  // True if the state changed. Ignores a probe that is not the newest, or is finished already.
  bool Finish(uint64_t probe, bool passed);

  // The probe was not made, or does not count, because of this host. The failures before it no
  // longer count, nor does the next one: this host may need time to reach the backend again.
  void Pause() {
    waiting_ = false;
    failures_ = 0;
    pardons_next_ = true;
  }

  // Adopts a state that is known from elsewhere, while this check has none.
  void TakeUp(HealthState state) {
    if (state_ == HealthState::kInitial) state_ = state;
  }

  // True if a healthy backend becomes unhealthy when the probe that runs fails.
  bool NextFailureDecides() const {
    return state_ == HealthState::kHealthy && !pardons_next_ && failures_ + 1 >= fall_;
  }

  uint32_t failures_in_row() const { return failures_; }

 private:
  bool Become(HealthState state);

  uint32_t rise_;
  uint32_t fall_;
  HealthState state_;
  uint32_t passes_ = 0;    // in a row
  uint32_t failures_ = 0;  // in a row
  uint64_t probe_ = 0;
  bool waiting_ = false;
  bool pardons_next_ = false;  // the next failure does not count
};

}  // namespace fairlead
