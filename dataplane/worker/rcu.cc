#include "dataplane/worker/rcu.h"

#include <new>

namespace fairlead {

Result<std::unique_ptr<RcuState>> RcuState::Create(uint32_t worker_count) {
  const size_t bytes = rte_rcu_qsbr_get_memsize(worker_count);
  auto* const state = static_cast<rte_rcu_qsbr*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  if (state == nullptr) return ResourceExhausted("cannot allocate the workers' quiescent states");
  if (rte_rcu_qsbr_init(state, worker_count) != 0) {
    std::free(state);
    return Internal("rte_rcu_qsbr rejects " + std::to_string(worker_count) + " workers");
  }
  return std::unique_ptr<RcuState>(new RcuState(state));
}

}  // namespace fairlead
