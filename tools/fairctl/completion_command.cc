// `fairctl completion SHELL`: prints the script that makes a shell use `fairctl complete`.
#include <map>
#include <memory>
#include <ostream>
#include <string>

#include "tools/fairctl/commands.h"

namespace fairlead::fairctl {
namespace {

// COMP_WORDS is split at ":" and "=" too (COMP_WORDBREAKS), and Bash replaces only the last piece.
// So the words are joined again, and the candidates are cut.
constexpr const char* kBash = R"(# Bash completion for fairctl. Made by: fairctl completion bash
_fairctl() {
  local rest=${COMP_LINE:0:COMP_POINT} words=() candidates=() breaks='' cut='' trimmed piece i
  for ((i = 0; i <= COMP_CWORD; i++)); do
    trimmed=${rest#"${rest%%[![:space:]]*}"}
    piece=${COMP_WORDS[i]}
    if ((i == COMP_CWORD)); then piece=$trimmed; fi
    if ((i == 0)) || [[ $trimmed != "$rest" ]]; then
      words+=("$piece")
    else
      words[-1]+=$piece
    fi
    rest=${trimmed#"$piece"}
  done
  local current=${words[-1]}
  COMPREPLY=()
  mapfile -t candidates < <("${words[0]/#\~/$HOME}" complete "${words[@]:1}" 2>/dev/null)
  if [[ ${candidates[0]} == files ]]; then
    compopt -o default
    return
  fi
  if [[ $COMP_WORDBREAKS == *:* ]]; then breaks+=:; fi
  if [[ $COMP_WORDBREAKS == *=* ]]; then breaks+==; fi
  if [[ $breaks ]]; then cut=${current%"${current##*[$breaks]}"}; fi
  for piece in "${candidates[@]:1}"; do
    piece=${piece%%$'\t'*}
    COMPREPLY+=("${piece#"$cut"}")
  done
}
complete -F _fairctl fairctl
)";

// The last line runs the function when the file is autoloaded, and registers it when it is sourced.
constexpr const char* kZsh = R"(#compdef fairctl
# Zsh completion for fairctl. Made by: fairctl completion zsh
_fairctl() {
  local line
  local -a lines candidates
  lines=("${(@f)$("${(Q)words[1]/#\~/$HOME}" complete "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
  if [[ $lines[1] == files ]]; then
    if [[ $PREFIX == --*=* ]]; then compset -P '*='; fi
    _files
    return
  fi
  for line in "${(@)lines[2,-1]}"; do
    if [[ $line == *$'\t'* ]]; then
      candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    else
      candidates+=("${line//:/\\:}")
    fi
  done
  _describe fairctl candidates
}
if [[ $funcstack[1] == _fairctl ]]; then _fairctl "$@"; else compdef _fairctl fairctl; fi
)";

constexpr const char* kFish = R"(# Fish completion for fairctl. Made by: fairctl completion fish
function __fairctl_complete
    set -l words (commandline --tokenize --current-process --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l lines ($words[1] complete $words[2..] "$current" 2>/dev/null)
    if test "$lines[1]" = files
        set -l option (string match --regex -- '^--[^=]*=' $current)
        set -l paths (__fish_complete_path (string replace -- "$option" '' $current))
        string replace --regex -- '^' "$option" $paths
    else
        string collect -- $lines[2..]
    end
end
complete --command fairctl --no-files --arguments '(__fairctl_complete)'
)";

const std::map<std::string, const char*>& Scripts() {
  static const std::map<std::string, const char*> kScripts = {
      {"bash", kBash}, {"fish", kFish}, {"zsh", kZsh}};
  return kScripts;
}

}  // namespace

void AddCompletionCommand(CLI::App* app, Context* context) {
  auto shell = std::make_shared<std::string>();
  CLI::App* completion =
      app->add_subcommand("completion", "Print the completion script of a shell");
  CLI::Option* argument = completion->add_option("shell", *shell, "whose script to print")
                              ->required()
                              ->check(CLI::IsMember(Scripts()));
  std::vector<std::string> shells;
  for (const auto& [name, script] : Scripts()) shells.push_back(name);
  context->Offer(argument, ValueKind::kWords, std::move(shells));
  completion->callback([=] {
    context->action = [=] {
      context->out() << Scripts().at(*shell);
      return kExitOk;
    };
  });
}

}  // namespace fairlead::fairctl
