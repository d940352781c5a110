#include "tools/fairctl/field_options.h"

#include <cstdint>
#include <string>

#include "lib/intent/json.h"
#include "tools/fairctl/number_check.h"

namespace fairlead::fairctl {
namespace {

// "nat: lower the MSS ... (default false)", "release | keep: what happens to ... (default release)".
std::string HelpText(const FieldDescription& field) {
  std::string text;
  if (field.info.setting.has_value()) {
    text.append(ModeNamesWith(*field.info.setting)).append(": ");
  }
  if (field.info.kind == FieldKind::kWord) text.append(FieldValuesText(field.info)).append(": ");
  text.append(field.info.help);
  if (!field.default_text.empty()) text.append(" (default ").append(field.default_text).append(")");
  return text;
}

void AddOption(CLI::App* command, Context* context, const FieldDescription& field, Json* given) {
  const FieldInfo& info = field.info;
  const std::string option(info.option);
  const auto set = [given, name = std::string(info.name)](Json value) {
    (*given)[name] = std::move(value);
  };
  switch (info.kind) {
    case FieldKind::kNumber:
      command
          ->add_option_function<uint64_t>(
              option, [set](uint64_t value) { set(value); }, HelpText(field))
          ->transform(DecimalNumber(info.min, info.max));
      return;
    case FieldKind::kSwitch:
      command->add_flag_function(
          option + ",!" + std::string(info.opposite), [set](int64_t count) { set(count > 0); },
          HelpText(field));
      return;
    case FieldKind::kDuration:
    case FieldKind::kWord:
    case FieldKind::kOther: {
      CLI::Option* added = command->add_option_function<std::string>(
          option, [set](const std::string& value) { set(value); }, HelpText(field));
      if (info.kind != FieldKind::kWord) return;
      const auto words = info.words();
      context->Offer(added, ValueKind::kWords, {words.begin(), words.end()});
      return;
    }
  }
}

}  // namespace

void AddFieldOptions(CLI::App* command, Context* context,
                     const std::vector<FieldDescription>& fields, Json* given) {
  for (const FieldDescription& field : fields) {
    if (!field.info.option.empty()) AddOption(command, context, field, given);
  }
}

}  // namespace fairlead::fairctl
