#include "lib/table/select.h"

#include <optional>

#include "lib/base/check.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

// What SelectBackend does to the flow table.
enum class RecordAction : uint8_t { kNothing, kTouch, kInsert, kReplace };

struct Decision {
  Selection selection;
  RecordAction action = RecordAction::kNothing;
  FlowRecord record;  // for all but kNothing
};

// A packet's place in its flow's life. UDP has neither beginning nor end.
struct Signals {
  Signals(const PacketFacts& facts)  // NOLINT: implicit
      : udp(facts.protocol == kIpProtoUdp) {
    if (udp) return;
    syn = IsSyn(facts);
    reset = (facts.tcp_flags & kTcpRst) != 0;
    ending = (facts.tcp_flags & (kTcpFin | kTcpRst)) != 0;
    payload = facts.has_payload;
  }
  bool udp;
  bool syn = false;
  bool reset = false;
  bool ending = false;
  bool payload = false;
};

// The backend that `record` names, if it is there, this service's, and may serve.
const BackendEntry* RecordedBackend(const ForwardingTables& tables, const ServiceEntry& service,
                                    const FlowRecord& record) {
  const BackendEntry* backend = tables.FindBackend(record.backend_id);
  if (backend == nullptr || backend->state == BackendState::kDown) return nullptr;
  const auto index = static_cast<uint32_t>(backend - tables.backends().data());
  return index - service.first_backend < service.backend_count ? backend : nullptr;
}

// `record` after one more packet of its flow.
FlowRecord Touched(FlowRecord record, const Signals& signals, uint32_t now_tick) {
  if (!signals.syn) record.flags |= kRecordConfirmed;
  if (signals.ending) {
    record.flags |= kRecordClosing;
  } else if (signals.payload) {
    record.flags &= static_cast<uint8_t>(~kRecordClosing);
  }
  // Another worker's clock may be ahead: never back.
  if (record.AgeTicks(now_tick) != 0) record.last_seen_tick = now_tick & kTickMask;
  return record;
}

bool IsLive(const FlowRecord& record, uint32_t now_tick) {
  return (record.flags & kRecordConfirmed) != 0 && record.AgeTicks(now_tick) <= kLiveTicks;
}

// What there is of a record for the flow.
enum class Recorded : uint8_t {
  kNothing,
  kExpired,
  kUseless,  // its backend is down or gone, or a SYN begins the flow anew
};

// The stable owner, for a packet that is older than its slot's change; kNoIndex: not to be used.
uint32_t StableOwner(const ForwardingTables& tables, const ServiceEntry& service,
                     const Slot& slot) {
  if (slot.state != SlotState::kShifting || slot.stable == kNoOwner) return kNoIndex;
  const uint32_t index = service.first_backend + slot.stable;
  return tables.backends()[index].state == BackendState::kDown ? kNoIndex : index;
}

[[gnu::noinline]] Decision DecideByOwner(const ForwardingTables& tables,
                                         const ServiceEntry& service, uint32_t word,
                                         const Signals& signals, uint32_t now_tick,
                                         Recorded recorded) {
  const bool adaptive =
      (signals.udp ? service.tracking_udp : service.tracking_tcp) == Tracking::kAdaptive;
  const Slot slot = Slot::Unpack(word);
  uint32_t owner = OwnerIn(service, word);
  bool pinned = false;
  if (adaptive && !signals.syn && recorded != Recorded::kUseless) {
    const uint32_t stable = StableOwner(tables, service, slot);
    pinned = stable != kNoIndex;
    if (pinned) owner = stable;
  }
  if (owner == kNoIndex) return {};
  // Of a pinned slot all that is not recorded is current's, and stays it without a record.
  const bool needs_none = signals.reset || (adaptive && slot.state == SlotState::kPinned &&
                                            recorded != Recorded::kUseless);
  Decision decision;
  decision.selection.backend_index = owner;
  decision.selection.reason = pinned                           ? SelectReason::kStable
                              : needs_none                     ? SelectReason::kSlot
                              : recorded == Recorded::kNothing ? SelectReason::kNewFlow
                                                               : SelectReason::kReplaced;
  if (needs_none) return decision;
  decision.action = recorded == Recorded::kNothing ? RecordAction::kInsert : RecordAction::kReplace;
  decision.record.backend_id = tables.backends()[owner].id;
  decision.record.last_seen_tick = now_tick & kTickMask;
  if (pinned) decision.record.flags |= kRecordPinned;
  if (signals.ending) decision.record.flags |= kRecordClosing;
  return decision;
}

// The table in select.h for what NeedsRecord. `record` null = none. Inlined into the packet's path
// whatever ExplainBackend does; what is rare stays outside (DecideByOwner).
[[gnu::always_inline]] inline Decision Decide(const ForwardingTables& tables,
                                              const ServiceEntry& service, uint32_t word,
                                              const PacketFacts& facts, uint32_t now_tick,
                                              const FlowRecord* record) {
  const Signals signals(facts);
  Recorded recorded = Recorded::kNothing;
  if (record != nullptr) {
    recorded = Recorded::kExpired;
    if (!IsExpired(*record, now_tick, IdleTicksOf(service, facts.protocol))) {
      const BackendEntry* backend = RecordedBackend(tables, service, *record);
      const bool drains = backend != nullptr && backend->state == BackendState::kDraining;
      const bool begins_anew =
          signals.syn && backend != nullptr &&
          ((record->flags & kRecordClosing) != 0 || (drains && !IsLive(*record, now_tick)));
      if (backend != nullptr && !begins_anew) {
        const auto index = static_cast<uint32_t>(backend - tables.backends().data());
        const Selection as_recorded{index, SelectReason::kRecorded, false, false};
        // A SYN does not keep a record live that it would otherwise replace.
        if (signals.syn && drains) return {as_recorded, RecordAction::kNothing, {}};
        return {as_recorded, RecordAction::kTouch, Touched(*record, signals, now_tick)};
      }
      recorded = Recorded::kUseless;
    }
  }
  return DecideByOwner(tables, service, word, signals, now_tick, recorded);
}

}  // namespace

std::string_view SelectReasonText(SelectReason reason) {
  switch (reason) {
    case SelectReason::kSlot:
      return "The hash slot's owner; no flow record is used.";
    case SelectReason::kRecorded:
      return "The flow is recorded with this backend and stays there.";
    case SelectReason::kNewFlow:
      return "The flow has no record: the hash slot's owner, which is recorded.";
    case SelectReason::kStable:
      return "The flow is older than its hash slot's last change: the owner before that.";
    case SelectReason::kReplaced:
      return "The flow's record is of no more use: the hash slot's owner, which replaces it.";
    case SelectReason::kUntracked:
      return "The hash slot's owner; a flow record was due but could not be stored.";
    case SelectReason::kNoBackend:
      return "No backend may serve: all are down, draining or of weight 0.";
  }
  return "";
}

Selection SelectTracked(const ForwardingTables& tables, const ServiceEntry& service, uint32_t word,
                        const FlowHash& hash, const PacketFacts& facts, uint32_t now_tick,
                        FlowTable* flows) {
  DCHECK(flows != nullptr);
  const RecordKey key = RecordKey::Make(hash, service.salt);
  FlowTable::Handle handle;
  FlowRecord record;
  const bool found = flows->Find(key, &handle);
  if (found) record = FlowRecord::Unpack(handle.value);
  Decision decision = Decide(tables, service, word, facts, now_tick, found ? &record : nullptr);
  Selection& selection = decision.selection;
  switch (decision.action) {
    case RecordAction::kNothing:
      break;
    case RecordAction::kTouch:
      // Mostly nothing has changed, and the cache line stays clean. A lost race is another packet's
      // touch: as good.
      if (decision.record.Pack() != handle.value) flows->Update(key, handle, decision.record);
      break;
    case RecordAction::kReplace:
      selection.stored = flows->Update(key, handle, decision.record);
      if (!selection.stored) selection.reason = SelectReason::kUntracked;
      break;
    case RecordAction::kInsert:
      switch (flows->Insert(key, decision.record, tables.longest_idle_ticks())) {
        case FlowTable::InsertResult::kStored:
          selection.stored = true;
          break;
        case FlowTable::InsertResult::kEvicted:
          selection.stored = true;
          selection.evicted = true;
          break;
        case FlowTable::InsertResult::kContended:
          selection.reason = SelectReason::kUntracked;
          break;
      }
      break;
  }
  return selection;
}

Selection ExplainBackend(const ForwardingTables& tables, const ServiceEntry& service, uint32_t word,
                         const PacketFacts& facts, uint32_t now_tick, const FlowRecord* record) {
  if (!NeedsRecord(service, facts.protocol, word)) {
    return SelectBackend(tables, service, word, {}, facts, now_tick, nullptr);
  }
  return Decide(tables, service, word, facts, now_tick, record).selection;
}

}  // namespace fairlead
