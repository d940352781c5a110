// fairlead-gen-fields PAGE: prints PAGE (docs/api.md) with its tables of fields rewritten. They come
// from the tables that the decoder and fairctl use too. Each table is between these two lines, where
// KIND is services, backends or drains:
//   <!-- fields of KIND, by fairlead-gen-fields -->
//   <!-- end of fields -->
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "lib/intent/field.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

std::string Code(std::string_view text) { return "`" + std::string(text) + "`"; }

std::string Values(const FieldInfo& info) {
  if (info.kind == FieldKind::kSwitch) return "`true`, `false`";
  if (info.kind != FieldKind::kWord) return FieldValuesText(info);
  std::string text;
  for (const std::string_view word : info.words()) text += (text.empty() ? "" : ", ") + Code(word);
  return text;
}

std::string Default(const FieldDescription& field) {
  if (field.info.is_required) return "needed";
  const bool is_value = !field.default_text.empty() && field.info.default_text.empty();
  return is_value ? Code(field.default_text) : field.default_text;
}

void PrintTable(const std::vector<FieldDescription>& fields) {
  std::cout << "| field | values | default | |\n|---|---|---|---|\n";
  for (const FieldDescription& field : fields) {
    std::cout << "| " << Code(field.info.name) << " | " << Values(field.info) << " | "
              << Default(field) << " | ";
    if (field.info.setting.has_value()) {
      std::cout << Code(ModeNamesWith(*field.info.setting)) << " only: ";
    }
    std::cout << field.info.help << " |\n";
  }
}

struct Kind {
  std::string_view name;
  const std::vector<FieldDescription>& (*fields)();
};
constexpr Kind kKinds[] = {
    {"services", ServiceFields}, {"backends", BackendFields}, {"drains", DrainFields}};
constexpr std::string_view kEnd = "<!-- end of fields -->";

const Kind* KindOf(const std::string& line) {
  for (const Kind& kind : kKinds) {
    if (line == "<!-- fields of " + std::string(kind.name) + ", by fairlead-gen-fields -->") {
      return &kind;
    }
  }
  return nullptr;
}

// False if a table has no end line.
bool PrintPage(std::istream& page) {
  const Kind* open = nullptr;
  for (std::string line; std::getline(page, line);) {
    if (line == kEnd && open != nullptr) open = nullptr;
    if (open != nullptr) continue;
    std::cout << line << '\n';
    open = KindOf(line);
    if (open != nullptr) PrintTable(open->fields());
  }
  return open == nullptr;
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  std::ifstream page(argc == 2 ? argv[1] : "");
  if (!page) {
    std::fputs("fairlead-gen-fields: cannot read the page; give the path of docs/api.md\n", stderr);
    return 1;
  }
  if (!fairlead::PrintPage(page)) {
    std::fputs(
        "fairlead-gen-fields: a table of fields has no end; add the line '<!-- end of fields "
        "-->'\n",
        stderr);
    return 1;
  }
  return std::cout.flush().good() ? 0 : 1;
}
