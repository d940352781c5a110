#include "bench/pcc/fleet.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace fairlead::pcc {
namespace {

constexpr uint64_t kHashSeed = 0x5eed;

IpAddress V4(uint32_t number) {
  const uint8_t bytes[4] = {static_cast<uint8_t>(number >> 24), static_cast<uint8_t>(number >> 16),
                            static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
  return IpAddress::FromV4(bytes);
}

}  // namespace

uint32_t Fleet::Add(uint32_t address, uint16_t weight) {
  members_.push_back({next_id_, address, weight, BackendState::kActive});
  Recount();
  return next_id_++;
}

Member* Fleet::FindMember(uint32_t id) {
  const auto found =
      std::lower_bound(members_.begin(), members_.end(), id,
                       [](const Member& member, uint32_t wanted) { return member.id < wanted; });
  return found == members_.end() || found->id != id ? nullptr : &*found;
}

const Member* Fleet::Find(uint32_t id) const { return const_cast<Fleet*>(this)->FindMember(id); }

void Fleet::Remove(uint32_t id) {
  std::erase_if(members_, [&](const Member& member) { return member.id == id; });
  Recount();
}

void Fleet::SetState(uint32_t id, BackendState state) {
  Member* const member = FindMember(id);
  CHECK(member != nullptr);
  member->state = state;
  Recount();
}

void Fleet::SetWeight(uint32_t id, uint16_t weight) {
  Member* const member = FindMember(id);
  CHECK(member != nullptr);
  member->weight = weight;
}

void Fleet::Recount() {
  in_service_.assign(next_id_ + 1, false);
  active_count_ = 0;
  for (const Member& member : members_) {
    in_service_[member.id] = member.state != BackendState::kDown;
    active_count_ += member.state == BackendState::kActive ? 1 : 0;
  }
}

SnapshotImage Fleet::ToSnapshot(Tracking tracking, uint32_t idle_timeout_s, uint32_t slot_count,
                                bool second_chance) const {
  SnapshotService service;
  service.id = 1;
  service.name = "web";
  service.frontends = {{V4(0xcb00710a), 443, Protocol::kTcp}};
  service.tracking_tcp = tracking;
  service.idle_timeout_tcp_ms = idle_timeout_s * 1000;
  service.slot_count = slot_count;
  if (second_chance) {
    service.mode = ForwardingMode::kGue;
    service.gue_port = 6080;
    service.flags |= kServiceSecondChance;
  }
  for (const Member& member : members_) {
    SnapshotBackend backend;
    backend.id = member.id;
    backend.endpoint = {V4(member.address), 0};
    backend.weight = member.weight;
    backend.state = member.state;
    service.backends.push_back(std::move(backend));
  }
  SnapshotInput input;
  input.generation = 1;
  input.hash_seed = kHashSeed;
  input.services = {std::move(service)};
  return BuildSnapshot(input).value();
}

}  // namespace fairlead::pcc
