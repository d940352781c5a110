// The second chance: what a packet carries besides, and what the agents on the backends make of it.
// After docs/second-chance.md.
//
//   packet whose slot had other owners -> backend that the balancer chose
//     accepts if it is a SYN, or a local socket has the flow, or no candidate is left
//     else to the next candidate, with the rest of the list
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "lib/table/forwarding_tables.h"

namespace fairlead::pcc {

inline constexpr uint32_t kMaxCandidates = 7;  // the list's count has three bits

// Which owners a packet carries.
struct ListPolicy {
  uint32_t count = 4;  // at most
  // For how many idle timeouts a former owner is listed after its time has ended; 0: as long as the
  // slot is shifting, all that it had since it began to.
  double keep = 0;
};

struct Candidates {
  uint32_t ids[kMaxCandidates] = {};
  uint32_t count = 0;
};

// The owners that slots have had before their current one, by backend id.
class SlotHistory {
 public:
  // Another one follows `owner` at `now_tick`. `begins`: nothing before is of use.
  void Note(uint32_t slot, uint32_t owner, uint32_t now_tick, bool begins);
  void Clear() { owners_.clear(); }

  // The current owner, then those before whose time ended at most `keep_ticks` ago, newest first;
  // without `chosen`, who is gone, and who is down. At most `count`.
  Candidates List(uint32_t slot, uint32_t current_id, uint32_t chosen, uint32_t now_tick,
                  uint32_t keep_ticks, uint32_t count, const ForwardingTables& tables) const;

 private:
  struct Former {
    uint32_t id;
    uint32_t until_tick;
  };
  std::unordered_map<uint32_t, std::vector<Former>> owners_;  // by slot, oldest first
};

// The backend that accepts a packet of a flow whose socket is at `owner`; no SYN.
uint32_t Accepts(uint32_t chosen, const Candidates& candidates, uint32_t owner);

}  // namespace fairlead::pcc
