#include "tests/packet/packet_rows.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

#include "lib/intent/derive.h"
#include "lib/intent/json.h"
#include "lib/snapshot/view.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

Result<std::string> ReadExport() {
  if (const char* path = std::getenv("FAIRLEAD_ROWS")) {
    std::ifstream file(path);
    if (!file) return NotFound(std::string("FAIRLEAD_ROWS: ") + path + " cannot be read");
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  const std::string command = std::string("/usr/bin/python3 ") + FAIRLEAD_EXPORT_ROWS + " -";
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return Internal(command + " cannot be started");
  std::string text;
  std::array<char, 65536> buffer;
  while (const size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    text.append(buffer.data(), got);
  }
  if (pclose(pipe) != 0) return Internal(command + " failed");
  return text;
}

std::vector<uint8_t> FromHex(const std::string& hex) {
  std::vector<uint8_t> bytes;
  bytes.reserve(hex.size() / 2);
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

Result<DropReason> ReasonOf(const std::string& name) {
  for (size_t i = 1; i < kDropReasonCount; ++i) {
    const auto reason = static_cast<DropReason>(i);
    if (DropReasonName(reason) == name) return reason;
  }
  return InvalidArgument("reason: " + name + " is none of counters.def");
}

Result<PacketStep> StepFromJson(const Json& json) {
  PacketStep step;
  step.frame = FromHex(json.at("frame"));
  step.out = FromHex(json.at("out"));
  const std::string verdict = json.at("verdict");
  if (verdict == "drop") {
    step.verdict = Verdict::kDrop;
    ASSIGN_OR_RETURN(step.reason, ReasonOf(json.at("reason")));
  } else if (verdict == "forward") {
    step.verdict = Verdict::kForward;
  } else if (verdict == "reply") {
    step.verdict = Verdict::kReply;
  } else {
    step.verdict = Verdict::kToKernel;
  }
  return step;
}

Result<PacketVariant> VariantFromJson(const Json& json) {
  PacketVariant variant;
  ASSIGN_OR_RETURN(const IntentSpec intent, IntentFromJson(json.at("services")));
  ASSIGN_OR_RETURN(variant.image,
                   BuildSnapshot(DeriveSnapshot(intent, 1, OfflineObservations(intent))));
  for (const std::string text : json.at("macs")) {
    ASSIGN_OR_RETURN(const MacAddress mac, MacAddress::Parse(text));
    variant.macs.push_back(mac);
  }
  variant.mtu = json.at("mtu");
  variant.replies_per_second = json.at("replies_per_second");
  return variant;
}

}  // namespace

Result<PacketRows> LoadPacketRows() {
  ASSIGN_OR_RETURN(const std::string text, ReadExport());
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return InvalidArgument("the exported rows are no JSON");
  PacketRows all;
  for (const Json& entry : json.at("variants")) {
    ASSIGN_OR_RETURN(PacketVariant variant, VariantFromJson(entry));
    all.variants.emplace(entry.at("name"), std::move(variant));
  }
  for (const Json& entry : json.at("rows")) {
    PacketRow row{entry.at("name"), entry.at("rule"), entry.at("variant"), {}};
    for (const Json& step_json : entry.at("steps")) {
      ASSIGN_OR_RETURN(PacketStep step, StepFromJson(step_json));
      row.steps.push_back(std::move(step));
    }
    all.rows.push_back(std::move(row));
  }
  return all;
}

void PacketHarness::Free::operator()(void* memory) const { std::free(memory); }

Result<std::unique_ptr<PacketHarness>> PacketHarness::Create(const PacketVariant& variant) {
  std::unique_ptr<PacketHarness> harness(new PacketHarness(variant));
  const std::span<const MacAddress> macs(harness->variant_.macs);
  harness->ports_.push_back(PortView::Make(macs.front(), macs.subspan(1), variant.mtu));
  harness->backend_slots_ = std::make_unique<CounterSlots>(kBackendCounterSlots);
  harness->service_slots_ = std::make_unique<CounterSlots>(kServiceCounterSlots);
  const EgressPort port{"wan", macs.front()};
  ASSIGN_OR_RETURN(harness->tables_,
                   ForwardingTables::Build(SnapshotView(harness->variant_.image.bytes()), nullptr,
                                           {&port, 1}, harness->backend_slots_.get(),
                                           harness->service_slots_.get(), nullptr));
  harness->flow_memory_.reset(
      std::aligned_alloc(64, (FlowTable::BytesNeeded(kFlowRecords) + 63) / 64 * 64));
  CHECK(harness->flow_memory_ != nullptr);
  ASSIGN_OR_RETURN(WorkerCounters counters, WorkerCounters::Create());
  harness->counters_ = std::make_unique<WorkerCounters>(std::move(counters));
  harness->Reset();
  return harness;
}

void PacketHarness::Reset() {
  const std::span<std::byte> memory(static_cast<std::byte*>(flow_memory_.get()),
                                    FlowTable::BytesNeeded(kFlowRecords));
  flows_ = std::make_unique<FlowTable>(FlowTable::Format(memory, kFlowRecords));
  counters_->totals = {};
  context_.tables = tables_.get();
  context_.flows = flows_.get();
  context_.ports = ports_;
  context_.now_tick = 100;
  context_.now_us = 1'000'000;
  context_.replies = TokenBucket(variant_.replies_per_second, variant_.replies_per_second);
  context_.counters = counters_.get();
}

FrameBuffer::FrameBuffer(const std::vector<uint8_t>& frame, uint32_t linear_length,
                         uint16_t tailroom)
    : linear_length_(linear_length == 0
                         ? static_cast<uint32_t>(frame.size())
                         : std::min(linear_length, static_cast<uint32_t>(frame.size()))),
      frame_length_(static_cast<uint32_t>(frame.size())),
      tailroom_(tailroom),
      memory_(new uint8_t[size_t{kHeadroom} + linear_length_ + tailroom]) {
  std::memcpy(memory_.get() + kHeadroom, frame.data(), linear_length_);
}

void FrameBuffer::AddTo(Burst* burst) const {
  const uint32_t i = burst->count++;
  burst->frame[i] = memory_.get() + kHeadroom;
  burst->linear_length[i] = linear_length_;
  burst->frame_length[i] = frame_length_;
  burst->headroom[i] = kHeadroom;
  burst->tailroom[i] = tailroom_;
  burst->ingress_port[i] = 0;
  burst->nic_bad_ip_checksum[i] = false;
}

}  // namespace fairlead
