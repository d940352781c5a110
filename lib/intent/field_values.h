// Reads field values from JSON, strictly. A refusal names path, value and what is allowed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "lib/base/result.h"

namespace fairlead {

// "weight: 1001 WHY". An empty path names the value itself.
Status RefuseValue(std::string path, const nlohmann::json& value, std::string_view why);
std::string JoinPath(const std::string& path, std::string_view field);
std::string IndexedPath(const std::string& path, size_t index);

Result<uint64_t> ReadInteger(const nlohmann::json& value, const std::string& path, uint64_t min,
                             uint64_t max);
Result<bool> ReadSwitch(const nlohmann::json& value, const std::string& path);
Result<uint32_t> ReadDuration(const nlohmann::json& value, const std::string& path);
// Returns the index of the value in `words`.
Result<size_t> ReadWord(const nlohmann::json& value, const std::string& path,
                        std::span<const std::string_view> words);
Result<std::span<const nlohmann::json>> ReadList(const nlohmann::json& value,
                                                 const std::string& path);

// Fails unless `object` is an object whose fields are all in `known`. `what`: "a service", for
// messages.
Status CheckObject(const nlohmann::json& object, const std::string& path, std::string_view what,
                   std::span<const std::string_view> known);

// Check that a value in the model, whatever its origin, is within its field's range.
Status CheckNumberRange(std::string path, uint64_t value, uint64_t min, uint64_t max);
Status CheckDurationRange(std::string path, uint64_t value_ms, uint64_t min_ms, uint64_t max_ms);

}  // namespace fairlead
