#include "lib/counters/left_out.h"

#include <array>

#include "lib/base/check.h"

namespace fairlead {
namespace {

struct LeftOutRow {
  std::string_view name;
  std::string_view text;
};

constexpr std::array<LeftOutRow, kLeftOutCount> kRows = {{
    {"no", ""},
#define LEFT_OUT(name, text) {#name, text},
#include "lib/counters/left_out.def"
}};

const LeftOutRow& RowOf(LeftOut reason) {
  CHECK(reason < LeftOut::kCount);
  return kRows[static_cast<size_t>(reason)];
}

constexpr std::string_view kOnAnInterface = "its next hop is on an interface that";
static_assert(
    kRows[static_cast<size_t>(LeftOut::k_interface_no_port)].text.starts_with(kOnAnInterface));

}  // namespace

std::string_view LeftOutName(LeftOut reason) { return RowOf(reason).name; }

std::string_view LeftOutText(LeftOut reason) { return RowOf(reason).text; }

std::string LeftOutText(LeftOut reason, std::string_view interface) {
  const std::string_view text = LeftOutText(reason);
  if (reason != LeftOut::k_interface_no_port) return std::string(text);
  return "its next hop is on " + std::string(interface) + ", which" +
         std::string(text.substr(kOnAnInterface.size()));
}

std::optional<LeftOut> FindLeftOut(std::string_view name) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<LeftOut>(i);
  }
  return std::nullopt;
}

}  // namespace fairlead
