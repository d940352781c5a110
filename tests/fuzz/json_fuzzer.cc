// Any text as the intent, in JSON and in YAML. An accepted intent must survive encoding and
// decoding, and give a snapshot that the dataplane accepts: what passes the rules of model.h must
// not be refused later.
#include <cstdint>
#include <string_view>

#include "lib/base/check.h"
#include "lib/intent/derive.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

void TryIntent(const nlohmann::json& json) {
  const Result<IntentSpec> intent = IntentFromJson(json);
  if (!intent.ok()) {
    CHECK(!intent.status().message().empty());
    return;
  }
  for (const ServiceSpec& service : intent->services) {
    const Result<ServiceSpec> again = ServiceFromJson(ServiceToJson(service));
    CHECK(again.ok() && *again == service);
  }
  CHECK(BuildSnapshot(DeriveSnapshot(*intent, 1, OfflineObservations(*intent))).ok());
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const Result<nlohmann::json> json = ParseJson(text); json.ok()) {
    TryIntent(*json);
    // The API's decoders get values that IntentFromJson never passes to them.
    (void)ServiceFromJson(*json);
    (void)BackendFromJson(*json);
  }
  if (const Result<nlohmann::json> yaml = YamlToJson(text); yaml.ok()) TryIntent(*yaml);
  return 0;
}
