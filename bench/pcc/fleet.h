// The backends: what the balancers are told, and which backends a flow can still reach.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/snapshot/builder.h"
#include "lib/table/forwarding_tables.h"

namespace fairlead::pcc {

struct Member {
  uint32_t id = 0;       // never reused, like the control plane's ids
  uint32_t address = 0;  // the endpoint; may come back under another id
  uint16_t weight = 0;
  BackendState state = BackendState::kActive;
};

class Fleet {
 public:
  uint32_t Add(uint32_t address, uint16_t weight);  // returns the id
  void Remove(uint32_t id);
  void SetState(uint32_t id, BackendState state);
  void SetWeight(uint32_t id, uint16_t weight);

  std::span<const Member> members() const { return members_; }
  const Member* Find(uint32_t id) const;
  uint32_t active_count() const { return active_count_; }
  // True while the backend exists and is not down, so that its flows can live.
  bool InService(uint32_t id) const { return id < in_service_.size() && in_service_[id]; }

  // One TCP service, as the control plane would send it to the dataplane.
  SnapshotImage ToSnapshot(Tracking tracking, uint32_t idle_timeout_s, uint32_t slot_count,
                           bool second_chance = false) const;

 private:
  Member* FindMember(uint32_t id);
  void Recount();

  std::vector<Member> members_;  // by id, ascending
  std::vector<bool> in_service_;
  uint32_t active_count_ = 0;
  uint32_t next_id_ = 1;
};

}  // namespace fairlead::pcc
