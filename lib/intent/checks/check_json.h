// The own settings of check types in JSON. A setting "tls.verify" is the member `verify` of the
// object `tls`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "lib/base/result.h"
#include "lib/intent/checks/check_type.h"

namespace fairlead {

// The members of health_check that hold the type's settings, each once: "path", "tls".
std::vector<std::string_view> CheckMembers(const CheckType& type);

// Reads the settings from the health_check object `json`. Settings that it does not have get their
// defaults. `path`: the object's, for messages. REQUIRES that `json` is an object.
Result<CheckSettings> ReadCheckSettings(const CheckType& type, const nlohmann::json& json,
                                        const std::string& path);
// Adds the settings to `json`, without empty text.
void WriteCheckSettings(const CheckType& type, const CheckSettings& settings, nlohmann::json* json);

}  // namespace fairlead
