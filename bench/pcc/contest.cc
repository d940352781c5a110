#include "bench/pcc/contest.h"

#include <algorithm>

#include "bench/pcc/agent.h"

namespace fairlead::pcc {
namespace {

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::string_view NameOf(System system) {
  constexpr std::string_view kNames[] = {"maglev", "lru", "fairlead", "fairlead+agent"};
  return kNames[system];
}

double Result::BrokenShare(System system) const { return Share(systems[system].broken, flows); }
double Result::LookupShare(System system) const { return Share(systems[system].lookups, packets); }
double Result::ListedShare() const { return Share(listed, packets); }

Contest::Contest(const Setup& setup, const Fleet* fleet)
    : setup_(setup),
      fleet_(fleet),
      ecmp_(setup.balancers, setup.full_rehash),
      stateless_(4),
      away_(setup.balancers, false) {
  for (uint32_t i = 0; i < setup.balancers; ++i) {
    balancers_.push_back(std::make_unique<Balancer>(setup.records));
    lru_.emplace_back(static_cast<uint32_t>(setup.records), setup.idle_timeout_s * kTicksPerSecond);
  }
}

SnapshotImage Contest::Snapshot(Tracking tracking) const {
  return fleet_->ToSnapshot(tracking, setup_.idle_timeout_s, setup_.slots, setup_.second_chance);
}

void Contest::Publish(uint32_t now_tick) {
  stateless_.Publish(Snapshot(Tracking::kNone), now_tick);
  const SnapshotImage adaptive = Snapshot(Tracking::kAdaptive);
  for (uint32_t i = 0; i < setup_.balancers; ++i) {
    if (!away_[i]) balancers_[i]->Publish(adaptive, now_tick);
  }
}

void Contest::Lose(uint32_t balancer) {
  away_[balancer] = true;
  ecmp_.SetAlive(balancer, false);
}

void Contest::Return(uint32_t balancer, bool empty, uint32_t now_tick) {
  away_[balancer] = false;
  if (empty) {
    balancers_[balancer]->Forget();
    lru_[balancer].Clear();
  } else {
    balancers_[balancer]->Restart(now_tick);
  }
  balancers_[balancer]->Publish(Snapshot(Tracking::kAdaptive), now_tick);
  ecmp_.SetAlive(balancer, true);
}

void Contest::Admit(Flow* flow, uint32_t now_tick) {
  flow->backend_id = MaglevChoice(flow->hash);
  lru_[ecmp_.Pick(flow->hash)].Insert(flow->hash.low, flow->backend_id, now_tick);
}

uint32_t Contest::MaglevChoice(const FlowHash& hash) const {
  const ForwardingTables& tables = stateless_.tables();
  const uint32_t owner = SlotOwner(tables.services()[0], hash);
  return owner == kNoIndex ? 0 : tables.backends()[owner].id;
}

// A SYN is a new flow: no flow of the simulation sends a second one.
uint32_t Contest::LruChoice(uint32_t balancer, const FlowHash& hash, PacketKind kind,
                            uint32_t now_tick) {
  LruTable& table = lru_[balancer];
  uint32_t* known = nullptr;
  if (kind != PacketKind::kSyn) known = table.Find(hash.low, now_tick, kind == PacketKind::kFin);
  const uint32_t owner = MaglevChoice(hash);
  if (known == nullptr) {
    result_.systems[kLru].evictions += table.Insert(hash.low, owner, now_tick) ? 1 : 0;
    return owner;
  }
  if (!fleet_->InService(*known)) *known = owner;
  return *known;
}

void Contest::Judge(Flow* flow, System system, uint32_t backend_id) {
  const auto bit = static_cast<uint8_t>(1U << system);
  if (backend_id == flow->backend_id || (flow->broken & bit) != 0) return;
  flow->broken |= bit;
  ++result_.systems[system].broken;
}

void Contest::JudgeAgent(Flow* flow, PacketKind kind, uint32_t balancer,
                         const Balancer::Answer& answer) {
  const std::vector<uint32_t> candidates = balancers_[balancer]->CandidatesOf(flow->hash, answer);
  result_.listed += candidates.empty() ? 0 : 1;
  if (kind == PacketKind::kSyn || answer.backend_id == flow->backend_id) {
    Judge(flow, kAgent, answer.backend_id);
    return;
  }
  result_.second_chances += candidates.empty() ? 0 : 1;
  Judge(flow, kAgent, Accepts(answer.backend_id, candidates, flow->backend_id));
}

bool Contest::OnPacket(Flow* flow, PacketKind kind, uint32_t now_tick) {
  if (kind != PacketKind::kSyn && !fleet_->InService(flow->backend_id)) {
    ++result_.lost_with_backend;
    return false;
  }
  ++result_.packets;
  const uint32_t at = ecmp_.Pick(flow->hash);
  const uint32_t maglev = MaglevChoice(flow->hash);
  const uint32_t lru = LruChoice(at, flow->hash, kind, now_tick);
  const Balancer::Answer answer = balancers_[at]->Select(flow->hash, FactsOf(kind), now_tick);
  if (kind == PacketKind::kSyn) flow->backend_id = maglev;

  ++result_.systems[kLru].lookups;
  for (const System system : {kFairlead, kAgent}) {
    result_.systems[system].lookups += answer.looked_up ? 1 : 0;
    result_.systems[system].evictions += answer.evicted ? 1 : 0;
  }
  Judge(flow, kMaglev, maglev);
  Judge(flow, kLru, lru);
  Judge(flow, kFairlead, answer.backend_id);
  JudgeAgent(flow, kind, at, answer);
  return true;
}

void Contest::OnSpoofedSyn(const FlowHash& hash, uint32_t now_tick) {
  const uint32_t at = ecmp_.Pick(hash);
  LruChoice(at, hash, PacketKind::kSyn, now_tick);
  balancers_[at]->Select(hash, FactsOf(PacketKind::kSyn), now_tick);
  ++result_.flood_packets;
}

void Contest::Sweep(uint32_t now_tick) {
  uint64_t records = 0;
  uint64_t lru_records = 0;
  for (uint32_t i = 0; i < setup_.balancers; ++i) {
    lru_[i].Expire(now_tick);
    lru_records += lru_[i].live();
    if (!away_[i]) balancers_[i]->Sweep(now_tick);
    records += balancers_[i]->records();
  }
  const auto note = [&](System system, uint64_t count) {
    uint64_t& peak = result_.systems[system].peak_records;
    peak = std::max(peak, count);
  };
  note(kLru, lru_records);
  note(kFairlead, records);
  note(kAgent, records);
}

}  // namespace fairlead::pcc
