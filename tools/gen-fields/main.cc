// fairlead-gen-fields PAGE: prints PAGE (docs/api.md, man/services.yaml.5.md) with its descriptions of
// fields rewritten. They come from the tables that the decoder and fairctl use too. Each description
// is between these two lines, where KIND is services, backends or drains:
//   <!-- fields of KIND, by fairlead-gen-fields -->
//   <!-- end of fields -->
// It is a table, or a list for a man page if the first line is:
//   <!-- list of the fields of KIND, by fairlead-gen-fields -->
#include <cctype>
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

std::string Capitalized(std::string_view text) {
  std::string sentence(text);
  if (!sentence.empty()) {
    sentence[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(sentence[0])));
  }
  return sentence;
}

void PrintList(const std::vector<FieldDescription>& fields) {
  for (const FieldDescription& field : fields) {
    std::cout << "\n**" << field.info.name << "**\n:   " << Capitalized(field.info.help) << ".\n";
    if (field.info.setting.has_value()) {
      std::cout << "    Only with forwarding " << ModeNamesWith(*field.info.setting) << ".\n";
    }
    std::cout << "    Values: " << Values(field.info) << ".\n    "
              << (field.info.is_required ? "Required" : "Default: " + Default(field)) << ".\n";
  }
  std::cout << '\n';
}

struct Kind {
  std::string_view name;
  const std::vector<FieldDescription>& (*fields)();
};
constexpr Kind kKinds[] = {
    {"services", ServiceFields}, {"backends", BackendFields}, {"drains", DrainFields}};
constexpr std::string_view kEnd = "<!-- end of fields -->";

// A description of fields, and how it is printed.
struct Block {
  const Kind* kind = nullptr;
  void (*print)(const std::vector<FieldDescription>& fields) = nullptr;
};

// Without a kind: `line` begins none.
Block BlockOf(const std::string& line) {
  for (const Kind& kind : kKinds) {
    const std::string end = "fields of " + std::string(kind.name) + ", by fairlead-gen-fields -->";
    if (line == "<!-- " + end) return {&kind, PrintTable};
    if (line == "<!-- list of the " + end) return {&kind, PrintList};
  }
  return {};
}

// False if a description has no end line.
bool PrintPage(std::istream& page) {
  Block open;
  for (std::string line; std::getline(page, line);) {
    if (line == kEnd) open = {};
    if (open.kind != nullptr) continue;
    std::cout << line << '\n';
    open = BlockOf(line);
    if (open.kind != nullptr) open.print(open.kind->fields());
  }
  return open.kind == nullptr;
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  std::ifstream page(argc == 2 ? argv[1] : "");
  if (!page) {
    std::fputs(
        "fairlead-gen-fields: cannot read the page; give the path of docs/api.md or "
        "man/services.yaml.5.md\n",
        stderr);
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
