// Any bytes as a server's side of the HTTP/2 connection of a gRPC health check, and as the message
// in its answer.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "controlplane/observe/health/grpc_dialogue.h"
#include "lib/base/check.h"

namespace {

using namespace fairlead;

ProbeAnswer Judge(const CheckSettings& settings, std::string_view bytes, size_t piece) {
  GrpcDialogue dialogue(ReadGrpcSettings(settings, IpAddress(), 50051),
                        std::chrono::milliseconds(1000));
  CHECK(!dialogue.TakeOutput().empty());
  while (!bytes.empty() && !dialogue.answer()) {
    dialogue.Receive(bytes.substr(0, piece));
    while (!dialogue.TakeOutput().empty()) continue;
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  if (!dialogue.answer()) dialogue.ReceiveEnd();
  CHECK(dialogue.answer().has_value());
  return *dialogue.answer();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const CheckSettings settings = DefaultCheckSettings(kGrpcCheck);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const ProbeAnswer answer = Judge(settings, bytes, 1 + data[0] * size_t{16});
  CHECK(!kGrpcCheck.failure_text({answer.detail, settings, IpAddress()}).empty());
  // The decoder alone: an HTTP/2 frame around its input would hide most inputs.
  const std::optional<uint32_t> state = DecodeHealthResponse(bytes);
  CHECK(!state || *state <= UINT16_MAX);
  return 0;
}
