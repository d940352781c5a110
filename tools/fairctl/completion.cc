#include "tools/fairctl/completion.h"

#include <algorithm>
#include <cstdlib>
#include <ostream>
#include <string_view>
#include <utility>

#include "tools/fairctl/format.h"

namespace fairlead::fairctl {
namespace {

// How long to wait for fairleadd. A shell does not react meanwhile.
constexpr const char* kNamesTimeout = "100ms";

struct Candidate {
  std::string word;
  std::string description;
};

// What the word to complete is.
struct Position {
  const CLI::App* command = nullptr;    // whose command, argument or option it is
  std::vector<std::string> arguments;   // the command's arguments before it
  const CLI::Option* option = nullptr;  // set: it is this option's value
  std::string option_prefix;            // "--hash=" if option and value are one word
  bool no_options = false;              // it follows "--"
};

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// Options of a command may also be given after its subcommands.
const CLI::App* NextForOptions(const CLI::App& command) {
  return command.get_fallthrough() ? command.get_parent() : nullptr;
}

const CLI::Option* FindOption(const CLI::App& command, const std::string& name) {
  for (const CLI::App* each = &command; each != nullptr; each = NextForOptions(*each)) {
    if (const CLI::Option* option = each->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

const CLI::App* FindSubcommand(const CLI::App& command, const std::string& name) {
  for (const CLI::App* each : command.get_subcommands(nullptr)) {
    if (each->check_name(name)) return each;
  }
  return nullptr;
}

// Follows the words as the parser does, but accepts every value. Takes over --socket.
Position Locate(const CLI::App& app, const std::vector<std::string>& words, Context* context) {
  Position position{&app, {}, nullptr, {}, false};
  const auto take_value = [&](const CLI::Option* option, const std::string& value) {
    if (option == app.get_option_no_throw("--socket")) context->socket_path = value;
  };
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool is_last = i + 1 == words.size();
    if (const CLI::Option* pending = std::exchange(position.option, nullptr)) {
      if (is_last) position.option = pending;
      take_value(pending, word);
    } else if (!position.no_options && word == "--" && !is_last) {
      position.no_options = true;
    } else if (!position.no_options && word.starts_with('-')) {
      const size_t equals = word.find('=');
      const CLI::Option* option = FindOption(*position.command, word.substr(0, equals));
      if (option == nullptr || !TakesValue(*option)) continue;
      if (equals == std::string::npos) {
        if (!is_last) position.option = option;
      } else if (is_last) {
        position.option = option;
        position.option_prefix = word.substr(0, equals + 1);
      } else {
        take_value(option, word.substr(equals + 1));
      }
    } else if (is_last) {
      break;
    } else if (const CLI::App* command = FindSubcommand(*position.command, word)) {
      position.command = command;
      position.arguments.clear();
    } else {
      position.arguments.push_back(word);
    }
  }
  return position;
}

// The argument that the word after `count` others belongs to. Null: the command takes no more.
const CLI::Option* ArgumentAfter(const CLI::App& command, size_t count) {
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) continue;
    const auto most = static_cast<size_t>(option->get_items_expected_max());
    if (count < most) return option;
    count -= most;
  }
  return nullptr;
}

class Completer {
 public:
  Completer(const Position& position, Context* context) : position_(position), context_(*context) {}

  // False: the shell is to offer files.
  bool Offer(const std::string& word) {
    if (position_.option != nullptr) return OfferValues(position_.option);
    if (word.starts_with('-') && !position_.no_options) {
      OfferOptions();
      return true;
    }
    const auto subcommands = position_.command->get_subcommands(nullptr);
    if (!subcommands.empty()) {
      if (position_.arguments.empty()) OfferSubcommands(subcommands);
      return true;
    }
    const CLI::Option* argument = ArgumentAfter(*position_.command, position_.arguments.size());
    if (argument != nullptr) return OfferValues(argument);
    if (!position_.no_options) OfferOptions();
    return true;
  }

  const std::vector<Candidate>& candidates() const { return candidates_; }

 private:
  void Add(std::string word, std::string description) {
    candidates_.push_back({std::move(word), std::move(description)});
  }

  void OfferSubcommands(const std::vector<const CLI::App*>& subcommands) {
    for (const CLI::App* each : subcommands) {
      if (!each->get_group().empty()) Add(each->get_name(), each->get_description());
    }
  }

  void OfferOptions() {
    for (const CLI::App* each = position_.command; each != nullptr; each = NextForOptions(*each)) {
      for (const CLI::Option* option : each->get_options()) {
        // Each command has --help.
        const bool is_repeated = each != position_.command && option == each->get_help_ptr();
        if (option->get_group().empty() || is_repeated) continue;
        for (const std::string& name : option->get_lnames()) {
          Add("--" + name, option->get_description());
        }
      }
    }
  }

  bool OfferValues(const CLI::Option* option) {
    const auto found = context_.value_sources.find(option);
    if (found == context_.value_sources.end()) return true;
    switch (found->second.kind) {
      case ValueKind::kFiles:
        return false;
      case ValueKind::kWords:
        for (const std::string& word : found->second.words) Add(word, "");
        break;
      case ValueKind::kServices:
        OfferServices();
        break;
      case ValueKind::kBackends:
        OfferBackends();
        break;
    }
    return true;
  }

  void OfferServices() {
    const Result<Json> reply = context_.Call("GET", "/v1/services");
    if (!reply.ok()) return;
    for (const Json& service : List(Member(*reply, "services"))) {
      Add(TextOf(Member(service, "name")), JoinList(Member(service, "frontends"), ", "));
    }
  }

  // Those of the service that an argument before names.
  void OfferBackends() {
    for (size_t i = 0; i < position_.arguments.size(); ++i) {
      const auto source = context_.value_sources.find(ArgumentAfter(*position_.command, i));
      const bool is_service =
          source != context_.value_sources.end() && source->second.kind == ValueKind::kServices;
      if (!is_service) continue;
      const std::string path = ServicePath(position_.arguments[i]) + "/backends";
      const Result<Json> reply = context_.Call("GET", path);
      if (!reply.ok()) return;
      for (const Json& backend : List(Member(*reply, "backends"))) {
        Add(EndpointText(backend), TextOf(Member(backend, "state")));
      }
      return;
    }
  }

  const Position& position_;
  Context& context_;
  std::vector<Candidate> candidates_;
};

}  // namespace

int Complete(const CLI::App& app, const std::vector<std::string>& words, Context* context) {
  if (const CLI::Option* socket = app.get_option_no_throw("--socket")) {
    const char* path = std::getenv(socket->get_envname().c_str());
    if (path != nullptr) context->socket_path = path;
  }
  context->request_timeout = kNamesTimeout;
  const std::string last = words.empty() ? "" : words.back();
  const Position position = Locate(app, words, context);
  Completer completer(position, context);
  if (!completer.Offer(last)) {
    context->out() << "files\n";
    return kExitOk;
  }
  context->out() << "words\n";
  for (const auto& [word, description] : completer.candidates()) {
    const std::string whole = position.option_prefix + word;
    if (!whole.starts_with(last)) continue;
    context->out() << whole << (description.empty() ? "" : "\t") << description << '\n';
  }
  return kExitOk;
}

}  // namespace fairlead::fairctl
