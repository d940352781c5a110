// One check's state, apart from sockets and time: counts verdicts in a row and says when the state
// changes. Pure; one thread.
//
//   initial     first pass -> healthy; `fall` failures in a row -> unhealthy
//   healthy     `fall` failures in a row -> unhealthy
//   unhealthy   `rise` passes in a row -> healthy
//
// Each probe has a number; only the newest one's answer counts, and only once. So an answer that
// comes after its probe was given up, or after the next one began, changes nothing.
#pragma once

#include <cstdint>

#include "controlplane/core/status_board.h"

namespace fairlead {

class CheckMachine {
 public:
  // `state`: where an earlier process left it.
  CheckMachine(uint32_t rise, uint32_t fall, HealthState state)
      : rise_(rise), fall_(fall), state_(state) {}

  HealthState state() const { return state_; }

  // Begins a probe and returns its number.
  uint64_t Begin() {
    waiting_ = true;
    return ++probe_;
  }

  // True when the state changed. A probe that is not the newest, or was finished already, is
  // ignored.
  bool Finish(uint64_t probe, bool passed);

  // Takes over what is known of the same endpoint from elsewhere; only while nothing is known here.
  void TakeUp(HealthState state) {
    if (state_ == HealthState::kInitial) state_ = state;
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
};

}  // namespace fairlead
