// Quiescent states of the workers (rte_rcu_qsbr).
#pragma once

#include <rte_rcu_qsbr.h>

#include <cstdlib>
#include <memory>

#include "dataplane/worker/grace.h"
#include "lib/base/result.h"

namespace fairlead {

class RcuState final : public GracePeriods {
 public:
  static Result<std::unique_ptr<RcuState>> Create(uint32_t worker_count);

  // Worker: Enter at its start, Leave at its end, Quiescent once per loop.
  void Enter(uint32_t worker) {
    rte_rcu_qsbr_thread_register(state_.get(), worker);
    rte_rcu_qsbr_thread_online(state_.get(), worker);
  }
  void Leave(uint32_t worker) {
    rte_rcu_qsbr_thread_offline(state_.get(), worker);
    rte_rcu_qsbr_thread_unregister(state_.get(), worker);
  }
  void Quiescent(uint32_t worker) { rte_rcu_qsbr_quiescent(state_.get(), worker); }

  uint64_t Begin() override { return rte_rcu_qsbr_start(state_.get()); }
  bool IsOver(uint64_t period) override {
    return rte_rcu_qsbr_check(state_.get(), period, false) == 1;
  }

 private:
  struct Deleter {
    void operator()(rte_rcu_qsbr* state) const { std::free(state); }
  };
  explicit RcuState(rte_rcu_qsbr* state) : state_(state) {}
  std::unique_ptr<rte_rcu_qsbr, Deleter> state_;
};

}  // namespace fairlead
