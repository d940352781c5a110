// Why the dataplane leaves a backend out (left_out.def): the snapshot contains it, but this host
// cannot reach it in its service's mode. It owns no slot. Everything else takes effect.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace fairlead {

enum class LeftOut : uint8_t {
  kNo = 0,
#define LEFT_OUT(name, text) k_##name,
#include "lib/counters/left_out.def"
  kCount
};

inline constexpr size_t kLeftOutCount = static_cast<size_t>(LeftOut::kCount);

// By backend id. All other backends are in use.
using LeftOutBackends = std::unordered_map<uint32_t, LeftOut>;

std::string_view LeftOutName(LeftOut reason);  // "interface_no_port"; "no"
std::string_view LeftOutText(LeftOut reason);  // the text of left_out.def; "" for kNo
// The same. It names the interface of the backend's next hop where that is the reason.
std::string LeftOutText(LeftOut reason, std::string_view interface);
// No value: this release does not know the reason.
std::optional<LeftOut> FindLeftOut(std::string_view name);

}  // namespace fairlead
