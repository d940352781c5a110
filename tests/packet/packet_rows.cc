#include "tests/packet/packet_rows.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "lib/intent/derive.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

Result<std::string> ReadExport() {
  if (const char* path = std::getenv("FAIRLEAD_ROWS")) {
    std::ifstream file(path);
    if (!file) return NotFound(std::string("FAIRLEAD_ROWS: cannot read ") + path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  const std::string command = std::string("/usr/bin/python3 ") + FAIRLEAD_EXPORT_ROWS + " -";
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return Internal("cannot start " + command);
  std::string text;
  std::array<char, 65536> buffer;
  while (const size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    text.append(buffer.data(), got);
  }
  if (pclose(pipe) != 0) return Internal(command + " failed");
  return text;
}

std::vector<uint8_t> FromHex(std::string_view hex) {
  std::vector<uint8_t> bytes(hex.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, bytes[i], 16);
  }
  return bytes;
}

Result<DropReason> ReasonOf(const std::string& name) {
  for (size_t i = 1; i < kDropReasonCount; ++i) {
    const auto reason = static_cast<DropReason>(i);
    if (DropReasonName(reason) == name) return reason;
  }
  return InvalidArgument("drop reason '" + name + "' is not in counters.def");
}

Result<PacketStep> StepFromJson(const Json& json) {
  PacketStep step;
  step.frame = FromHex(json.at("frame").get_ref<const std::string&>());
  step.late = json.at("late");
  for (const Json& out : json.at("out")) {
    step.out.push_back(FromHex(out.get_ref<const std::string&>()));
  }
  step.layout.headroom = json.at("headroom");
  step.layout.linear_length = json.at("linear");
  step.layout.nic_bad_ip_checksum = json.at("nic_bad_checksum");
  const std::string verdict = json.at("verdict");
  if (verdict == "drop") {
    step.verdict = Verdict::kDrop;
    ASSIGN_OR_RETURN(step.reason, ReasonOf(json.at("reason")));
  } else if (verdict == "forward") {
    step.verdict = Verdict::kForward;
  } else if (verdict == "answer") {
    step.verdict = Verdict::kAnswer;
  } else {
    step.verdict = Verdict::kToKernel;
  }
  return step;
}

Status ReadPort(const Json& json, EgressPort* port) {
  port->interface = "wan";
  port->mtu = json.at("mtu");
  for (const std::string text : json.at("addresses")) {
    ASSIGN_OR_RETURN(const IpAddress address, IpAddress::Parse(text));
    port->addresses.push_back(address);
  }
  for (const std::string text : json.at("ipip_source")) {
    ASSIGN_OR_RETURN(const Prefix prefix, Prefix::Parse(text));
    port->ipip_sources.push_back(prefix);
  }
  if (const std::string text = json.at("gateway"); !text.empty()) {
    ASSIGN_OR_RETURN(port->gateway, MacAddress::Parse(text));
  }
  return {};
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
  RETURN_IF_ERROR(ReadPort(json, &variant.port));
  variant.port.mac = variant.macs.front();
  variant.replies_per_second = json.at("replies_per_second");
  variant.icmp_errors_per_second = json.at("icmp_errors_per_second");
  return variant;
}

}  // namespace

Result<PacketRows> LoadPacketRows() {
  ASSIGN_OR_RETURN(const std::string text, ReadExport());
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return InvalidArgument("the exported rows are not JSON");
  PacketRows all;
  for (const Json& entry : json.at("variants")) {
    ASSIGN_OR_RETURN(PacketVariant variant, VariantFromJson(entry));
    all.variants.emplace(entry.at("name"), std::move(variant));
  }
  for (const Json& entry : json.at("rows")) {
    PacketRow row{entry.at("name"), entry.at("rule"), entry.at("variant"), entry.at("records"), {}};
    for (const Json& step_json : entry.at("steps")) {
      ASSIGN_OR_RETURN(PacketStep step, StepFromJson(step_json));
      row.steps.push_back(std::move(step));
    }
    all.rows.push_back(std::move(row));
  }
  return all;
}

}  // namespace fairlead
