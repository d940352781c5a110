#include "tools/fairctl/systemd_unit.h"

#include <cctype>
#include <charconv>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include "tools/fairctl/file.h"

namespace fairlead::fairctl {
namespace {

constexpr uint64_t kMaxEnvironmentBytes = 1 << 20;

constexpr const char* kWithoutSystemd =
    "; without systemd, run the new fairlead-dataplane with the options of the running one and "
    "--check, then end the running one (SIGTERM) and start the new one";

using Variables = std::map<std::string, std::string>;

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::string Trimmed(const std::string& text) {
  constexpr const char* kBlank = " \t\r";
  const size_t start = text.find_first_not_of(kBlank);
  if (start == std::string::npos) return "";
  return text.substr(start, text.find_last_not_of(kBlank) - start + 1);
}

// The words of a variable's value, and of what systemctl prints for Environment=. Quotes keep
// blanks in a word. A backslash takes the next character as it is, in quotes of both kinds.
std::vector<std::string> QuotedWords(const std::string& text) {
  std::vector<std::string> words;
  char quote = 0;
  bool in_word = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quote == 0 && std::isspace(static_cast<unsigned char>(c)) != 0) {
      in_word = false;
      continue;
    }
    if (!std::exchange(in_word, true)) words.emplace_back();
    if (quote == 0 ? c == '"' || c == '\'' : c == quote) {
      quote = quote == 0 ? c : char{0};
    } else if (c == '\\' && at + 1 < text.size()) {
      words.back() += text[++at];
    } else {
      words.back() += c;
    }
  }
  return words;
}

// The value in a line of an environment file. It may be quoted as a whole.
std::string ValueIn(const std::string& text) {
  const char quote = text.empty() ? char{0} : text.front();
  const bool quoted = text.size() >= 2 && text.back() == quote && (quote == '"' || quote == '\'');
  const std::string inner = quoted ? text.substr(1, text.size() - 2) : text;
  if (quoted && quote == '\'') return inner;
  // In double quotes, a backslash escapes these only.
  constexpr std::string_view kEscaped = "\"\\`$";
  std::string value;
  for (size_t at = 0; at < inner.size(); ++at) {
    const bool escapes = inner[at] == '\\' && at + 1 < inner.size() &&
                         (!quoted || kEscaped.find(inner[at + 1]) != std::string_view::npos);
    if (escapes) ++at;
    value += inner[at];
  }
  return value;
}

// "A=1 \"B=two words\"": what systemctl prints for Environment=.
void ReadEnvironment(const std::string& text, Variables* variables) {
  for (const std::string& assignment : QuotedWords(text)) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos) continue;
    (*variables)[assignment.substr(0, equals)] = assignment.substr(equals + 1);
  }
}

// "/etc/default/x (ignore_errors=yes)". A file that cannot be read sets nothing: systemd itself
// reports it at the start.
void ReadEnvironmentFile(const std::string& text, Variables* variables) {
  const Result<std::string> content =
      ReadFile(text.substr(0, text.rfind(" (ignore_errors=")), kMaxEnvironmentBytes);
  if (!content.ok()) return;
  std::istringstream lines(*content);
  for (std::string line; std::getline(lines, line);) {
    line = Trimmed(line);
    const size_t equals = line.find('=');
    if (line.empty() || line[0] == '#' || line[0] == ';' || equals == std::string::npos) continue;
    (*variables)[Trimmed(line.substr(0, equals))] = ValueIn(Trimmed(line.substr(equals + 1)));
  }
}

// Replaces variables as systemd does: $NAME as a word of its own becomes the words of its value,
// ${NAME} anywhere becomes its value, $$ a dollar sign.
std::vector<std::string> Expanded(const std::vector<std::string>& words,
                                  const Variables& variables) {
  const auto value_of = [&](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string() : found->second;
  };
  std::vector<std::string> expanded;
  for (const std::string& word : words) {
    if (word.size() > 1 && word[0] == '$' && word[1] != '{' && word[1] != '$') {
      for (std::string& each : QuotedWords(value_of(word.substr(1)))) {
        expanded.push_back(std::move(each));
      }
      continue;
    }
    std::string text;
    for (size_t at = 0; at < word.size(); ++at) {
      const size_t close = word.compare(at, 2, "${") == 0 ? word.find('}', at) : std::string::npos;
      if (close != std::string::npos) {
        text += value_of(word.substr(at + 2, close - at - 2));
        at = close;
      } else {
        text += word[at];
        if (word.compare(at, 2, "$$") == 0) ++at;
      }
    }
    expanded.push_back(std::move(text));
  }
  return expanded;
}

// The text between `before` and `after`.
std::string Between(const std::string& text, std::string_view before, std::string_view after) {
  const size_t start = text.find(before);
  if (start == std::string::npos) return "";
  const size_t from = start + before.size();
  return text.substr(from, text.find(after, from) - from);
}

}  // namespace

Result<ServiceUnit> ReadServiceUnit(const RunFn& run, const std::string& name) {
  const Result<ProgramResult> shown =
      run({"systemctl", "show", "--property",
           "LoadState,ActiveState,MainPID,ExecStart,Environment,EnvironmentFiles", "--", name});
  if (!shown.ok()) return FailedPrecondition(shown.status().message() + kWithoutSystemd);
  if (shown->status != 0) {
    return FailedPrecondition("systemctl show " + name + ": " + Between(shown->err, "", "\n") +
                              kWithoutSystemd);
  }
  ServiceUnit unit;
  unit.name = name;
  std::string load_state;
  std::string exec_start;
  Variables variables;
  std::vector<std::string> environment_files;
  std::istringstream lines(shown->out);
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string property = line.substr(0, equals);
    const std::string value = line.substr(equals + 1);
    if (property == "LoadState") load_state = value;
    if (property == "ActiveState") unit.active = value == "active";
    if (property == "ExecStart") exec_start = value;
    if (property == "Environment") ReadEnvironment(value, &variables);
    if (property == "EnvironmentFiles") environment_files.push_back(value);
    if (property == "MainPID") {
      std::from_chars(value.data(), value.data() + value.size(), unit.main_pid);
    }
  }
  if (load_state != "loaded") {
    return FailedPrecondition("unit " + name + " is " +
                              (load_state.empty() ? "unknown" : load_state) +
                              "; name another one with --unit" + kWithoutSystemd);
  }
  for (const std::string& file : environment_files) ReadEnvironmentFile(file, &variables);
  unit.command = Expanded(Words(Between(exec_start, "argv[]=", " ; ignore_errors=")), variables);
  if (unit.command.empty()) {
    return FailedPrecondition("unit " + name + " starts no program; name another one with --unit");
  }
  unit.command[0] = Between(exec_start, "path=", " ; argv[]=");
  return unit;
}

}  // namespace fairlead::fairctl
