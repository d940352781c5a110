// What the agents on the backends do with a packet that carries a list of candidates, as in
// docs/second-chance.md. The balancer makes the list with Fairlead's code (lib/table/candidates.h).
//
//   backend that the balancer chose
//     accepts if it is a SYN, or a local socket has the flow, or no candidate is left
//     else to the next candidate, with the rest of the list
#pragma once

#include <cstdint>
#include <span>

namespace fairlead::pcc {

// The backend that accepts a packet of a flow whose socket is at `owner`. The packet is not a SYN.
inline uint32_t Accepts(uint32_t chosen, std::span<const uint32_t> candidates, uint32_t owner) {
  uint32_t at = chosen;
  for (size_t i = 0; i < candidates.size() && at != owner; ++i) at = candidates[i];
  return at;
}

}  // namespace fairlead::pcc
