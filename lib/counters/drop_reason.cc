#include "lib/counters/drop_reason.h"

#include <array>

#include "lib/base/check.h"

namespace fairlead {
namespace {

struct DropReasonRow {
  std::string_view name;
  std::string_view text;
};

constexpr std::array<DropReasonRow, kDropReasonCount> kRows = {{
    {"none", "Not dropped."},
#define DROP(name, text) {#name, text},
#include "lib/counters/counters.def"
#undef DROP
}};

const DropReasonRow& RowOf(DropReason reason) {
  CHECK(reason < DropReason::kCount);
  return kRows[static_cast<size_t>(reason)];
}

}  // namespace

std::string_view DropReasonName(DropReason reason) { return RowOf(reason).name; }

std::string_view DropReasonText(DropReason reason) { return RowOf(reason).text; }

std::optional<DropReason> FindDropReason(std::string_view name) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<DropReason>(i);
  }
  return std::nullopt;
}

}  // namespace fairlead
