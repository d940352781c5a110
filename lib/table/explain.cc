#include "lib/table/explain.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "lib/net/headers.h"
#include "lib/table/frontend_table.h"

namespace fairlead {
namespace {

SnapshotNextHop NextHopOf(const NextHopRecord& record) {
  SnapshotNextHop hop;
  std::copy(std::begin(record.mac), std::end(record.mac), hop.mac.bytes.begin());
  hop.vlan = record.vlan;
  hop.interface = std::string(record.interface, strnlen(record.interface, 16));
  return hop;
}

// The snapshot reduced to this service. Backends that are left out get the state that the tables
// would give them.
SnapshotInput OnlyService(const SnapshotView& snapshot, uint32_t service_index,
                          const LeftOutBackends& left_out) {
  const ServiceRecord& record = snapshot.services()[service_index];
  SnapshotService service;
  service.id = record.id;
  service.name = std::string(snapshot.name_of(record));
  service.mode = static_cast<ForwardingMode>(record.mode);
  service.hash_policy = static_cast<HashPolicy>(record.hash_policy);
  service.tracking_tcp = static_cast<Tracking>(record.tracking_tcp);
  service.tracking_udp = static_cast<Tracking>(record.tracking_udp);
  service.gue_port = record.gue_port;
  service.flags = record.flags;
  service.slot_count = record.slot_count;
  service.idle_timeout_tcp_ms = record.idle_timeout_tcp_ms;
  service.idle_timeout_udp_ms = record.idle_timeout_udp_ms;
  for (const FrontendRecord& frontend : snapshot.frontends()) {
    if (frontend.service_index != service_index) continue;
    service.frontends.push_back(FrontendOf(frontend));
  }
  for (const BackendRecord& backend : snapshot.backends_of(record)) {
    SnapshotBackend copy;
    copy.id = backend.id;
    copy.endpoint = {AddressOf(backend), backend.port};
    copy.weight = backend.weight;
    copy.state = static_cast<BackendState>(backend.state);
    if (left_out.contains(backend.id)) {
      if (copy.state == BackendState::kActive) copy.state = BackendState::kDraining;
    } else if (backend.next_hop_index != kNoNextHop) {
      copy.next_hop = NextHopOf(snapshot.next_hops()[backend.next_hop_index]);
    }
    service.backends.push_back(std::move(copy));
  }
  return {snapshot.header().generation, snapshot.header().hash_seed, {std::move(service)}};
}

// The ports that the next hops name. Only the dataplane knows whether they exist.
std::vector<EgressPort> PortsOf(const SnapshotView& snapshot) {
  std::vector<EgressPort> ports;
  for (const NextHopRecord& record : snapshot.next_hops()) {
    std::string interface = NextHopOf(record).interface;
    const bool known = std::any_of(ports.begin(), ports.end(), [&](const EgressPort& port) {
      return port.interface == interface;
    });
    if (!interface.empty() && !known) ports.push_back({std::move(interface), {}});
  }
  if (ports.empty()) ports.emplace_back();
  // The dataplane's addresses and MTUs are not known either. No explanation depends on their
  // values.
  for (EgressPort& port : ports) {
    port.mtu = UINT16_MAX;
    port.addresses = {IpAddress::Parse("192.0.2.1").value(),
                      IpAddress::Parse("2001:db8::1").value()};
  }
  return ports;
}

FlowRecord ToFlowRecord(const ExplainRecord& record) {
  const uint64_t age_ticks = uint64_t{record.age_ms} * kTicksPerSecond / 1000;
  const auto seen = static_cast<uint32_t>(0 - std::min<uint64_t>(age_ticks, kTickMask));
  return {record.backend_id, seen & kTickMask, record.flags};
}

// What the mode does to the packet.
std::string DescribeRewrite(const ServiceRecord& service, const BackendRecord& backend) {
  return ModeOf(service).describe({.backend = {AddressOf(backend), backend.port},
                                   .tunnel_port = service.gue_port,
                                   .overhead_bytes = OverheadOf(service, backend)});
}

std::string Sentences(const Explanation& explanation, const ServiceEntry& service) {
  std::string text = "Service " + service.name + ", slot " + std::to_string(explanation.slot) +
                     " of " + std::to_string(service.slot_count);
  if (explanation.backend) text += ", backend " + explanation.backend->ToString();
  text.append(". ").append(SelectReasonText(explanation.reason));
  if (explanation.drop_reason == DropReason::k_no_next_hop ||
      explanation.drop_reason == DropReason::k_hairpin) {
    text.append(" ").append(DropReasonText(explanation.drop_reason));
  }
  if (explanation.drop_reason == DropReason::k_no_backend &&
      (service.flags & kServiceResetNoBackend) != 0) {
    text += " The client gets a TCP reset or an ICMP error (on_no_backend: reset).";
  }
  if (!explanation.left_out.empty()) {
    const auto& [backend, reason] = explanation.left_out.front();
    text += " Backend " + backend.ToString() + " is left out: " + std::string(LeftOutText(reason));
    const size_t more = explanation.left_out.size() - 1;
    text += more == 0 ? "." : "; and " + std::to_string(more) + " more backends.";
  }
  return text;
}

}  // namespace

Result<Explainer> Explainer::Make(const SnapshotView& snapshot, const FlowKey& key,
                                  const LeftOutBackends& left_out) {
  Explainer explainer;
  explainer.left_out_ = left_out;
  explainer.key_ = key;
  const FrontendTable frontends(snapshot.frontends());
  const IpAddress destination = key.destination();
  explainer.is_frontend_address_ =
      frontends.HasAddress(destination.bytes().data(), destination.family());
  const uint32_t index = frontends.FindDestination(key);
  if (index == kNoService) {
    if (!explainer.is_frontend_address_) RETURN_IF_ERROR(explainer.LookForReply(snapshot));
    return explainer;
  }

  ASSIGN_OR_RETURN(explainer.image_, BuildSnapshot(OnlyService(snapshot, index, left_out)));
  const SnapshotView view(explainer.image_.bytes());
  CounterIndices backend_indices(kMaxBackendsPerService);
  CounterIndices service_indices(1);
  ForwardingTables::BuildStats stats;
  ASSIGN_OR_RETURN(
      explainer.tables_,
      ForwardingTables::Build(view, {}, PortsOf(view), &backend_indices, &service_indices, &stats));
  const ServiceEntry& service = explainer.tables_->services().front();
  explainer.hash_ = HashFlow(key, service.hash_policy, explainer.tables_->hash_seed());
  return explainer;
}

std::optional<RecordKey> Explainer::record_key() const {
  if (tables_ == nullptr) return std::nullopt;
  const ServiceEntry& service = tables_->services().front();
  const bool is_tcp = key_.protocol() == static_cast<uint8_t>(Protocol::kTcp);
  if ((is_tcp ? service.tracking_tcp : service.tracking_udp) == Tracking::kNone) {
    return std::nullopt;
  }
  return RecordKey::Make(hash_, service.salt);
}

Status Explainer::LookForReply(const SnapshotView& snapshot) {
  ASSIGN_OR_RETURN(const NatTable nat, NatTable::Build(snapshot));
  const NatRow* row = nat.FindSource(key_);
  if (row == nullptr) return {};
  const ServiceRecord& service = snapshot.services()[row->service_index];
  reply_service_ = std::string(snapshot.name_of(service));
  reply_mode_ = static_cast<ForwardingMode>(service.mode);
  const auto& bytes = row->frontend.address;
  reply_frontend_.address = key_.family() == Family::kIpv4
                                ? IpAddress::FromV4(std::span<const uint8_t, 4>(bytes.data(), 4))
                                : IpAddress::FromV6(bytes);
  reply_frontend_.port = row->frontend.port != 0 ? row->frontend.port : key_.source_port();
  return {};
}

Explanation Explainer::ExplainReply() const {
  Explanation explanation;
  explanation.verdict = Verdict::kForward;
  explanation.service = reply_service_;
  explanation.forwarding = reply_mode_;
  explanation.backend = Endpoint{key_.source(), key_.source_port()};
  explanation.why = "A reply of a backend of service " + reply_service_ + " through " +
                    std::string(ModeOf(reply_mode_).name) + ": its source becomes " +
                    reply_frontend_.ToString() +
                    ", unless the destination is the balancer's own address.";
  return explanation;
}

uint32_t Explainer::service_id() const {
  return tables_ == nullptr ? 0 : tables_->services().front().id;
}

uint32_t Explainer::WordOf(const ExplainSlot& slot) const {
  const ServiceEntry& service = tables_->services().front();
  const auto local = [&](uint32_t id) {
    return tables_->LocalIndexOf(service, tables_->FindBackend(id));
  };
  return Slot{local(slot.current_id), local(slot.stable_id), slot.state}.Pack();
}

Explanation Explainer::ExplainWithoutService() const {
  if (!reply_service_.empty()) return ExplainReply();
  Explanation explanation;
  if (is_frontend_address_) {
    explanation.verdict = Verdict::kDrop;
    explanation.drop_reason = DropReason::k_no_frontend;
    explanation.why = DropReasonText(DropReason::k_no_frontend);
  } else {
    explanation.why = "No frontend has the address " + key_.destination().ToString() +
                      ": the packet goes to the kernel.";
  }
  return explanation;
}

Explanation Explainer::Explain(const std::optional<ExplainRecord>& record,
                               const std::optional<ExplainSlot>& slot) const {
  if (tables_ == nullptr) return ExplainWithoutService();
  const ServiceEntry& service = tables_->services().front();
  const SnapshotView view(image_.bytes());

  PacketFacts facts;
  facts.protocol = key_.protocol();
  if (facts.protocol == static_cast<uint8_t>(Protocol::kTcp)) {
    facts.tcp_flags = record ? kTcpAck : kTcpSyn;
  }
  facts.has_payload = record.has_value();
  const FlowRecord flow_record = record ? ToFlowRecord(*record) : FlowRecord{};
  const uint32_t word = slot ? WordOf(*slot) : SlotAddress(service, hash_)->load();
  const Selection selection = ChooseWithoutRecording(*tables_, service, word, facts, /*now_tick=*/0,
                                                     record ? &flow_record : nullptr);

  Explanation explanation;
  explanation.hash = hash_;
  explanation.service = service.name;
  explanation.forwarding = service.mode;
  explanation.slot = SlotIndex(hash_, service.slot_count);
  explanation.slot_count = service.slot_count;
  explanation.slot_state = Slot::Unpack(word).state;
  explanation.reason = selection.reason;
  explanation.record = record;
  for (const BackendRecord& backend : view.backends()) {
    if (const auto out = left_out_.find(backend.id); out != left_out_.end()) {
      explanation.left_out.emplace_back(Endpoint{AddressOf(backend), backend.port}, out->second);
    }
    if (record && backend.id == record->backend_id) {
      explanation.recorded_backend = Endpoint{AddressOf(backend), backend.port};
    }
  }
  explanation.verdict = Verdict::kDrop;
  explanation.drop_reason = DropReason::k_no_backend;
  if (selection.backend_index != kNoIndex) {
    const BackendRecord& backend = view.backends()[selection.backend_index];
    explanation.backend = Endpoint{AddressOf(backend), backend.port};
    explanation.drop_reason = DropReason::k_no_next_hop;
    if (backend.next_hop_index != kNoNextHop) {
      explanation.next_hop = NextHopOf(view.next_hops()[backend.next_hop_index]);
      explanation.drop_reason = DropReason::kNone;
      explanation.verdict = Verdict::kForward;
    }
  }
  if (explanation.verdict == Verdict::kForward && ModeOf(service.mode).rewrites_destination() &&
      IsHairpin(key_, tables_->backends()[selection.backend_index])) {
    explanation.verdict = Verdict::kDrop;
    explanation.drop_reason = DropReason::k_hairpin;
  }
  explanation.why = Sentences(explanation, service);
  if (explanation.verdict == Verdict::kForward) {
    explanation.why +=
        DescribeRewrite(view.services().front(), view.backends()[selection.backend_index]);
  }
  return explanation;
}

}  // namespace fairlead
