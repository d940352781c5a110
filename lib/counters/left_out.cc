#include "lib/counters/left_out.h"

#include <array>

#include "lib/base/check.h"

namespace fairlead {
namespace {

struct Row {
  std::string_view name;
  std::string_view text;
};

constexpr std::array<Row, kLeftOutCount> kRows = {{
    {"no", ""},
#define LEFT_OUT(name, text) {#name, text},
#include "lib/counters/left_out.def"
}};

const Row& RowOf(LeftOut reason) {
  CHECK(reason < LeftOut::kCount);
  return kRows[static_cast<size_t>(reason)];
}

}  // namespace

std::string_view LeftOutName(LeftOut reason) { return RowOf(reason).name; }

std::string_view LeftOutText(LeftOut reason) { return RowOf(reason).text; }

std::optional<LeftOut> FindLeftOut(std::string_view name) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<LeftOut>(i);
  }
  return std::nullopt;
}

}  // namespace fairlead
