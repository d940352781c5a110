#include "lib/table/select.h"

#include <optional>

#include "lib/base/check.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

// What SelectBackend does to the flow table.
enum class RecordAction : uint8_t { kNothing, kTouch, kInsert, kReplace };

struct Choice {
  Selection selection;
  RecordAction action = RecordAction::kNothing;
  FlowRecord record;  // for all but kNothing
};

// What a packet tells about the begin and end of its flow. UDP has neither.
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

// The backend that `record` names, if it exists, belongs to this service and is not down; else
// null.
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
  // Another worker's clock may be ahead, so last_seen never decreases.
  if (record.AgeTicks(now_tick) != 0) record.last_seen_tick = now_tick & kTickMask;
  return record;
}

bool IsInUse(const FlowRecord& record, uint32_t now_tick) {
  return (record.flags & kRecordConfirmed) != 0 && record.AgeTicks(now_tick) <= kInUseTicks;
}

// Why the flow's record is not used.
enum class WhyNoRecord : uint8_t {
  kNone,  // there is none
  kExpired,
  kUnusable,  // its backend is down or gone, or a SYN begins the flow anew
};

// The stable owner, for a flow that is older than its slot's change; kNoIndex: not usable.
uint32_t StableOwner(const ForwardingTables& tables, const ServiceEntry& service,
                     const Slot& slot) {
  if (slot.state != SlotState::kShifting || slot.stable == kNoOwner) return kNoIndex;
  const uint32_t index = service.first_backend + slot.stable;
  return tables.backends()[index].state == BackendState::kDown ? kNoIndex : index;
}

[[gnu::noinline]] Choice DecideByOwner(const ForwardingTables& tables, const ServiceEntry& service,
                                       uint32_t word, const Signals& signals, uint32_t now_tick,
                                       WhyNoRecord why) {
  const bool adaptive =
      (signals.udp ? service.tracking_udp : service.tracking_tcp) == Tracking::kAdaptive;
  const Slot slot = Slot::Unpack(word);
  uint32_t owner = OwnerIn(service, word);
  bool is_stable = false;
  if (adaptive && !signals.syn && why != WhyNoRecord::kUnusable) {
    const uint32_t stable = StableOwner(tables, service, slot);
    is_stable = stable != kNoIndex;
    if (is_stable) owner = stable;
  }
  if (owner == kNoIndex) return {};
  // In a pinned slot a flow without a record belongs to the current owner and needs no record.
  const bool needs_none = signals.reset || (adaptive && slot.state == SlotState::kPinned &&
                                            why != WhyNoRecord::kUnusable);
  Choice choice;
  choice.selection.backend_index = owner;
  choice.selection.reason = is_stable                   ? SelectReason::kStable
                            : needs_none                ? SelectReason::kSlot
                            : why == WhyNoRecord::kNone ? SelectReason::kNewFlow
                                                        : SelectReason::kReplaced;
  if (needs_none) return choice;
  choice.action = why == WhyNoRecord::kNone ? RecordAction::kInsert : RecordAction::kReplace;
  choice.record.backend_id = tables.backends()[owner].id;
  choice.record.last_seen_tick = now_tick & kTickMask;
  if (is_stable) choice.record.flags |= kRecordOld;
  if (signals.ending) choice.record.flags |= kRecordClosing;
  return choice;
}

// Applies the table in select.h to a packet for which NeedsRecord is true. `record` null = none. It
// is inlined into the packet path. The rare cases stay outside (DecideByOwner).
[[gnu::always_inline]] inline Choice Decide(const ForwardingTables& tables,
                                            const ServiceEntry& service, uint32_t word,
                                            const PacketFacts& facts, uint32_t now_tick,
                                            const FlowRecord* record) {
  const Signals signals(facts);
  WhyNoRecord why = WhyNoRecord::kNone;
  if (record != nullptr) {
    why = WhyNoRecord::kExpired;
    if (!IsExpired(*record, now_tick, IdleTicksOf(service, facts.protocol))) {
      const BackendEntry* backend = RecordedBackend(tables, service, *record);
      const bool drains = backend != nullptr && backend->state == BackendState::kDraining;
      const bool begins_anew =
          signals.syn && backend != nullptr &&
          ((record->flags & kRecordClosing) != 0 || (drains && !IsInUse(*record, now_tick)));
      if (backend != nullptr && !begins_anew) {
        const auto index = static_cast<uint32_t>(backend - tables.backends().data());
        const Selection as_recorded{index, SelectReason::kRecorded, false, false};
        // A SYN does not refresh a draining backend's record: the record would stay in use.
        if (signals.syn && drains) return {as_recorded, RecordAction::kNothing, {}};
        return {as_recorded, RecordAction::kTouch, Touched(*record, signals, now_tick)};
      }
      why = WhyNoRecord::kUnusable;
    }
  }
  return DecideByOwner(tables, service, word, signals, now_tick, why);
}

}  // namespace

std::string_view SelectReasonText(SelectReason reason) {
  switch (reason) {
    case SelectReason::kSlot:
      return "The hash slot's owner gets the flow; no flow record is used.";
    case SelectReason::kRecorded:
      return "The flow is recorded with this backend and stays there.";
    case SelectReason::kNewFlow:
      return "The flow has no record; the hash slot's owner gets it and is recorded.";
    case SelectReason::kStable:
      return "The flow is older than its hash slot's last change; the owner before that gets it.";
    case SelectReason::kReplaced:
      return "The flow's record is not usable; the hash slot's owner gets it and is recorded.";
    case SelectReason::kUntracked:
      return "The flow's backend is chosen, but the flow's record could not be stored.";
    case SelectReason::kNoBackend:
      return "No backend is usable: all are down, draining or of weight 0.";
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
  Choice decision = Decide(tables, service, word, facts, now_tick, found ? &record : nullptr);
  Selection& selection = decision.selection;
  switch (decision.action) {
    case RecordAction::kNothing:
      break;
    case RecordAction::kTouch:
      // Mostly nothing has changed, and the cache line stays clean. If the race is lost, another
      // packet has touched the record, which is as good.
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

Selection ChooseWithoutRecording(const ForwardingTables& tables, const ServiceEntry& service,
                                 uint32_t word, const PacketFacts& facts, uint32_t now_tick,
                                 const FlowRecord* record) {
  if (!NeedsRecord(service, facts.protocol, word)) {
    return SelectBackend(tables, service, word, {}, facts, now_tick, nullptr);
  }
  return Decide(tables, service, word, facts, now_tick, record).selection;
}

}  // namespace fairlead
