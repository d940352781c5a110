// Any bytes as a server's answer to an HTTP health check. The first byte selects the settings. The
// answer must not depend on the pieces in which the bytes arrive, except that a damaged line may
// count as an incomplete one.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "controlplane/observe/health/http_dialogue.h"
#include "lib/base/check.h"

namespace {

using namespace fairlead;

ProbeAnswer Judge(const HttpSettings& settings, std::string_view bytes, size_t piece) {
  HttpDialogue dialogue(settings);
  CHECK(!dialogue.TakeOutput().empty());
  while (!bytes.empty() && !dialogue.answer()) {
    dialogue.Receive(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  if (!dialogue.answer()) dialogue.ReceiveEnd();
  CHECK(dialogue.answer().has_value());
  CHECK(dialogue.TakeOutput().empty());
  return *dialogue.answer();
}

int32_t WithoutDamage(int32_t detail) {
  const bool is_damaged = KindOfFailure(detail) == CheckFailure::kNotHttp;
  return is_damaged ? EncodeFailure(CheckFailure::kClosedEarly) : detail;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  HttpSettings settings{.path = "/", .codes = {{200, 399}}, .host = "10.0.0.1"};
  settings.is_head = (data[0] & 1) != 0;
  if ((data[0] & 2) != 0) settings.match = "ok";
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const ProbeAnswer whole = Judge(settings, bytes, bytes.size() + 1);
  const ProbeAnswer in_pieces = Judge(settings, bytes, 1 + data[0] / 4);
  CHECK(whole.outcome == in_pieces.outcome);
  CHECK(WithoutDamage(whole.detail) == WithoutDamage(in_pieces.detail));
  // The reason can be written, whatever the number is.
  const CheckSettings defaults = DefaultCheckSettings(kHttpCheck);
  CHECK(!kHttpCheck.failure_text({whole.detail, defaults, IpAddress()}).empty());
  return 0;
}
