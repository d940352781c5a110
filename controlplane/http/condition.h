// A backend's condition, such as healthy or draining, made of intent and status. Also counts the
// backends by condition.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "controlplane/core/intent.h"
#include "controlplane/core/status_board.h"

namespace fairlead {

enum class Condition : uint8_t {
  kInitial = 0,
  kHealthy,
  kUnchecked,
  kUnhealthy,
  kDraining,
  kDrained,
  kUnused,
  kEjected,
};
inline constexpr size_t kConditionCount = 8;
std::string_view ConditionName(Condition condition);

// The progress of the drain that the intent asks for. The progress of an earlier drain is ignored.
DrainProgress ProgressOf(const BackendIntent& backend, const BackendStatus& status);

Condition ConditionOf(const ServiceSpec& settings, const BackendIntent& backend,
                      const BackendStatus& status);

// Counts the backends by condition. Each call counts only services that changed since the last
// call. One thread.
class ConditionCounts {
 public:
  using Counts = std::array<uint64_t, kConditionCount>;

  explicit ConditionCounts(const StatusBoard* board)
      : board_(board), view_(std::make_shared<Intent>()) {}

  // The number of backends in each condition.
  const Counts& Of(const IntentView& view);

 private:
  void CountAgain(const Intent& view, const std::string& service);

  const StatusBoard* board_;
  IntentView view_;
  uint64_t next_change_ = 1;
  std::unordered_map<std::string, Counts> by_service_;
  Counts total_ = {};
  bool incomplete_ = false;  // the last count ran out of memory
};

}  // namespace fairlead
