#include "bench/pcc/agent.h"

#include <algorithm>
#include <span>

namespace fairlead::pcc {

void SlotHistory::Note(uint32_t slot, uint32_t owner, uint32_t now_tick, bool begins) {
  std::vector<Former>& owners = owners_[slot];
  if (begins) owners.clear();
  std::erase_if(owners, [&](const Former& former) { return former.id == owner; });
  owners.push_back({owner, now_tick});
}

Candidates SlotHistory::List(uint32_t slot, uint32_t current_id, uint32_t chosen, uint32_t now_tick,
                             uint32_t keep_ticks, uint32_t count,
                             const ForwardingTables& tables) const {
  Candidates list;
  const auto add = [&](uint32_t id) {
    const std::span<const uint32_t> listed(list.ids, list.count);
    if (id == chosen || list.count == count ||
        std::find(listed.begin(), listed.end(), id) != listed.end()) {
      return;
    }
    const BackendEntry* const backend = tables.FindBackend(id);
    if (backend == nullptr || backend->state == BackendState::kDown) return;
    list.ids[list.count++] = id;
  };
  const auto found = owners_.find(slot);
  if (found == owners_.end()) return list;
  const std::vector<Former>& owners = found->second;
  if (now_tick - owners.back().until_tick > keep_ticks) return list;
  add(current_id);
  for (auto former = owners.rbegin(); former != owners.rend(); ++former) {
    if (now_tick - former->until_tick <= keep_ticks) add(former->id);
  }
  return list;
}

uint32_t Accepts(uint32_t chosen, const Candidates& candidates, uint32_t owner) {
  uint32_t at = chosen;
  for (uint32_t i = 0; i < candidates.count && at != owner; ++i) at = candidates.ids[i];
  return at;
}

}  // namespace fairlead::pcc
