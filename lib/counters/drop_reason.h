// Every packet ends in exactly one verdict; a drop has exactly one reason (counters.def).
// Conservation law, exact while the workers are idle:
//   rx + generated = tx + sum(drops) + to_kernel
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fairlead {

enum class DropReason : uint8_t {
  kNone = 0,
#define DROP(name, text) k_##name,
#include "lib/counters/counters.def"
#undef DROP
  kCount
};

inline constexpr size_t kDropReasonCount = static_cast<size_t>(DropReason::kCount);

// What happens to a packet. kAnswer: the buffer now holds a packet that Fairlead made. The packet
// that arrived in it counts as dropped with reason `answered`, the reply as generated and sent.
// kHeld: a fragment that waits for its datagram's first one. It gets one of the others later.
enum class Verdict : uint8_t { kPending = 0, kForward, kAnswer, kDrop, kToKernel, kHeld };

std::string_view DropReasonName(DropReason reason);  // "other_mac"
std::string_view DropReasonText(DropReason reason);  // the sentence of counters.def
// No value: this release does not know the reason.
std::optional<DropReason> FindDropReason(std::string_view name);

}  // namespace fairlead
