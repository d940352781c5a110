#include "bench/pcc/balancer.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "lib/snapshot/view.h"
#include "lib/table/candidates.h"

namespace fairlead::pcc {
namespace {

uint32_t AddressOf(const uint8_t* bytes) {
  uint32_t address = 0;
  std::memcpy(&address, bytes, sizeof(address));
  return address;
}

}  // namespace

Balancer::Balancer(uint64_t records)
    : memory_(FlowTable::BytesNeeded(records) / sizeof(Block) + 1),
      capacity_(records),
      flows_(FlowTable::Format(std::as_writable_bytes(std::span(memory_)), records)),
      sweeper_(&flows_),
      backend_indices_(kMaxBackendsPerService),
      service_indices_(1) {}

void Balancer::Publish(SnapshotImage image, uint32_t now_tick) {
  image_ = std::move(image);
  Build({}, now_tick);
}

void Balancer::Restart(uint32_t now_tick) {
  const SavedSlots saved = tables_->SaveSlots(tables_->services()[0]);
  tables_.reset();
  Build(std::span(&saved, 1), now_tick);
}

void Balancer::Build(std::span<const SavedSlots> saved, uint32_t now_tick) {
  // Any port will do. No packet is built, but GUE needs an outer source address.
  static const EgressPort kPort{"wan", {}, 1500, {IpAddress::Parse("192.0.2.1").value()}};
  const std::span<const EgressPort> ports(&kPort, 1);
  tables_ = ForwardingTables::Build(SnapshotView(image_.bytes()), {tables_.get(), now_tick, saved},
                                    ports, &backend_indices_, &service_indices_, nullptr)
                .value();
  ids_.clear();
  for (const BackendEntry& backend : tables_->backends()) {
    ids_[AddressOf(backend.address)] = backend.id;
  }
  backend_indices_.Retain([&](uint32_t id) { return tables_->FindBackend(id) != nullptr; });
}

void Balancer::Forget() {
  flows_ = FlowTable::Format(std::as_writable_bytes(std::span(memory_)), capacity_);
  tables_.reset();
}

Balancer::Answer Balancer::Select(const FlowHash& hash, const PacketFacts& facts,
                                  uint32_t now_tick) {
  const ServiceEntry& service = tables_->services()[0];
  const uint32_t word = SlotAddress(service, hash)->load(std::memory_order_relaxed);
  const Selection selection =
      SelectBackend(*tables_, service, word, hash, facts, now_tick, &flows_);
  Answer answer;
  answer.backend_index = selection.backend_index;
  if (selection.backend_index != kNoIndex) {
    answer.backend_id = tables_->backends()[selection.backend_index].id;
  }
  answer.looked_up = NeedsRecord(service, facts.protocol, word);
  answer.evicted = selection.evicted;
  return answer;
}

std::vector<uint32_t> Balancer::CandidatesOf(const FlowHash& hash, const Answer& answer) const {
  std::vector<uint32_t> ids;
  if (answer.backend_index == kNoIndex) return ids;
  const CandidateList list =
      ListCandidates(*tables_, tables_->services()[0], hash, answer.backend_index);
  const std::span<const uint8_t> bytes = list.data();
  for (size_t i = kCandidateHeaderBytes; i + 4 <= bytes.size(); i += 4) {
    ids.push_back(ids_.at(AddressOf(&bytes[i])));
  }
  return ids;
}

void Balancer::Sweep(uint32_t now_tick) {
  sweeper_.Begin(tables_.get(), now_tick);
  while (!sweeper_.Step(now_tick)) {
  }
}

}  // namespace fairlead::pcc
