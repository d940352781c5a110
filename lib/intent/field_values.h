// Values of fields in JSON: read strictly, refused with path, value and remedy.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "lib/base/result.h"

namespace fairlead {

// "weight: 1001 WHY". An empty path is the value itself.
Status RefuseValue(std::string path, const nlohmann::json& value, std::string_view why);
std::string JoinPath(const std::string& path, std::string_view field);
std::string IndexedPath(const std::string& path, size_t index);

Result<uint64_t> ReadInteger(const nlohmann::json& value, const std::string& path, uint64_t min,
                             uint64_t max);
Result<bool> ReadSwitch(const nlohmann::json& value, const std::string& path);
Result<uint32_t> ReadDuration(const nlohmann::json& value, const std::string& path);
// The index in `words`.
Result<size_t> ReadWord(const nlohmann::json& value, const std::string& path,
                        std::span<const std::string_view> words);
Result<std::span<const nlohmann::json>> ReadList(const nlohmann::json& value,
                                                 const std::string& path);

// Fails unless `object` is an object whose fields are all among `known`; `what` ("a service") has them.
Status CheckObject(const nlohmann::json& object, const std::string& path, std::string_view what,
                   std::span<const std::string_view> known);

// Whether a value in the model, of whatever origin, is within its field's range.
Status CheckNumberRange(std::string path, uint64_t value, uint64_t min, uint64_t max);
Status CheckDurationRange(std::string path, uint64_t value_ms, uint64_t min_ms, uint64_t max_ms);

}  // namespace fairlead
