// Makes the candidate list of second chance (lib/encap/candidate_list.h): the other backends that a
// packet of an unsettled slot may belong to. The list corrects a balancer that did not see the flow
// begin, and has therefore chosen or recorded the wrong backend.
#pragma once

#include "lib/encap/candidate_list.h"
#include "lib/table/select.h"

namespace fairlead {

// Any worker. For a packet that goes to backend `chosen`: the slot's other owners since it was last
// settled. The current owner is first, then the former owners, newest first. Backends that are down
// or of the other family are not listed. Empty for a settled slot, and for a service without second
// chance.
inline CandidateList ListCandidates(const ForwardingTables& tables, const ServiceEntry& service,
                                    const FlowHash& hash, uint32_t chosen) {
  const BackendEntry* const backends = &tables.backends()[service.first_backend];
  const uint8_t family = tables.backends()[chosen].family;
  CandidateList list(static_cast<Family>(family), static_cast<uint32_t>(tables.generation()));
  if ((service.flags & kServiceSecondChance) == 0) return list;
  const uint32_t word = SlotAddress(service, hash)->load(std::memory_order_relaxed);
  if (Slot::IsSettled(word)) return list;
  const SlotFormers* formers = service.slot_table->FormersOf(SlotIndex(hash, service.slot_count));
  if (formers == nullptr) return list;
  const auto add = [&](uint16_t owner) {
    if (owner == kNoOwner || service.first_backend + owner == chosen || list.full()) return;
    const BackendEntry& backend = backends[owner];
    if (backend.state != BackendState::kDown && backend.family == family) {
      list.Add(backend.address);
    }
  };
  add(Slot::Unpack(word).current);
  for (const uint16_t owner : formers->owners) add(owner);
  return list;
}

}  // namespace fairlead
