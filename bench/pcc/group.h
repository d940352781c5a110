// The router in front of the balancers of one group.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/flow/flow_hash.h"

namespace fairlead::pcc {

// Equal-cost multipath over `count` balancers, by a hash of the flow.
//   full rehash   the flow's hash modulo the number of balancers that are alive: when one goes or
//                 comes, nearly all flows get another balancer
//   resilient     each flow has a home balancer; while that is away, it goes to one of the others
class Ecmp {
 public:
  Ecmp(uint32_t count, bool full_rehash);
  void SetAlive(uint32_t balancer, bool alive);
  uint32_t Pick(const FlowHash& hash) const;

 private:
  std::vector<uint32_t> alive_;
  std::vector<bool> is_alive_;
  bool full_rehash_;
};

}  // namespace fairlead::pcc
