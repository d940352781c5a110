// `fairctl watch`: prints changes as they happen.
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "tools/fairctl/commands.h"
#include "tools/fairctl/format.h"

namespace fairlead::fairctl {
namespace {

// "weight 1 -> 7", for each field that differs. A drain is shown without its fields.
std::string DifferenceText(const Json& before, const Json& after) {
  std::string text;
  const auto add = [&](const std::string& piece) { text += (text.empty() ? "" : ", ") + piece; };
  for (const auto& [name, value] : after.items()) {
    const Json& old = Member(before, name);
    if (old == value || name == "drain") continue;
    add(name + " " +
        (old.is_null()     ? "-"
         : old.is_string() ? TextOf(old)
                           : old.dump()) +
        " -> " + (value.is_string() ? TextOf(value) : value.dump()));
  }
  for (const auto& [name, value] : before.items()) {
    if (!after.contains(name) && name != "drain") add("no " + name);
  }
  if (!before.contains("drain") && after.contains("drain")) add("drain");
  if (before.contains("drain") && !after.contains("drain")) add("undrain");
  if (before.contains("drain") && after.contains("drain") && before["drain"] != after["drain"]) {
    add("drain with another deadline");
  }
  return text;
}

// What the change is about: "web", "web 10.0.0.11". For a resource that fairctl does not know, its
// kind and name: "note a".
std::string SubjectText(const Json& change) {
  if (change.contains("service")) {
    const std::string service = TextOf(Member(change, "service"));
    return change.contains("backend") ? service + " " + TextOf(Member(change, "backend")) : service;
  }
  for (const auto& [kind, name] : change.items()) {
    if (kind != "before" && kind != "after") return kind + " " + TextOf(name);
  }
  return "?";
}

// "web 10.0.0.11: weight 1 -> 7", "web: added".
std::string ChangeText(const Json& change) {
  if (change.contains("hash_seed")) {
    return "hash seed " + Member(change["hash_seed"], "before").dump() + " -> " +
           Member(change["hash_seed"], "after").dump();
  }
  const std::string subject = SubjectText(change);
  const Json& before = Member(change, "before");
  const Json& after = Member(change, "after");
  if (before.is_null()) return subject + ": added";
  if (after.is_null()) return subject + ": removed";
  return subject + ": " + DifferenceText(before, after);
}

class Printer {
 public:
  explicit Printer(Context* context) : context_(context) {}

  // False: nothing reads the output any more, as with `fairctl watch | head`.
  bool Print(const Json& event, const std::string& line) {
    if (context_->json) {
      context_->out() << line << '\n';
    } else {
      PrintText(event);
    }
    context_->out().flush();
    return context_->out().good();
  }

 private:
  void PrintText(const Json& json) {
    const std::string type = TextOf(Member(json, "type"));
    if (type == "intent") return PrintIntent(json);
    if (type == "status") return PrintStatus(json);
    if (type == "dataplane") return PrintDataplane(json);
    if (type == "port") return PrintPort(json);
    if (type == "restart") {
      context_->err() << "fairctl: " << TextOf(Member(json, "message"))
                      << "; events in between are not shown\n";
    }
  }

  std::ostream& Begin() {
    return context_->out() << TimeOf(context_->environment().now_ms()) << "  ";
  }

  // "12:05:09", in UTC.
  static std::string TimeOf(int64_t wall_ms) {
    const int64_t seconds = wall_ms / 1000 % 86'400;
    const auto two = [](int64_t value) {
      return std::string(value < 10 ? "0" : "") + std::to_string(value);
    };
    return two(seconds / 3600) + ":" + two(seconds / 60 % 60) + ":" + two(seconds % 60);
  }

  void PrintIntent(const Json& json) {
    const std::string author = TextOf(Member(json, "author"));
    for (const Json& change : List(Member(json, "changes"))) {
      context_->out() << TimeOf(ParseRfc3339Ms(TextOf(Member(json, "at"))).value_or(0)) << "  "
                      << "revision " << Shown(Member(json, "revision")) << " by "
                      << (author.empty() ? "-" : author) << ": " << ChangeText(change) << '\n';
    }
  }

  void PrintStatus(const Json& json) {
    const Json& backend = Member(json, "backend");
    const std::string subject = TextOf(Member(json, "service")) + " " + EndpointText(backend);
    const std::string state = TextOf(Member(backend, "state"));
    const std::string reason = TextOf(Member(backend, "reason"));
    // While a backend drains, its count of flows arrives several times a second.
    if (std::exchange(shown_[subject], state + reason) == state + reason) return;
    Begin() << subject << ": " << Coloured(state, ColourOfState(state), context_->colour()) << ", "
            << reason << '\n';
  }

  void PrintDataplane(const Json& json) {
    if (!IsTrue(Member(json, "connected"))) {
      Begin() << Coloured("the dataplane is not connected", Colour::kRed, context_->colour())
              << '\n';
      return;
    }
    const uint64_t generation = NumberOf(Member(json, "generation"));
    if (generation == 0) {
      Begin() << "the dataplane is connected\n";
    } else {
      Begin() << "in force: revision " << Shown(Member(json, "revision")) << ", generation "
              << generation << '\n';
    }
  }

  void PrintPort(const Json& json) {
    const Json& link = Member(json, "link");
    const bool is_up = IsTrue(Member(link, "up"));
    Begin() << "port " << Shown(Member(json, "name")) << ": "
            << Coloured(is_up ? "link up" : "link down", is_up ? Colour::kGreen : Colour::kRed,
                        context_->colour())
            << " since " << TextOf(Member(link, "since")) << '\n';
  }

  Context* context_;
  std::map<std::string, std::string> shown_;
};

int Watch(Context* context, const std::string& from) {
  Printer printer(context);
  const Status status = context->Watch(
      from, [&](const Json& event, const std::string& line) { return printer.Print(event, line); });
  if (!status.ok()) return context->Fail(status);
  if (!context->out().good()) return kExitOk;
  return context->Fail(
      Unavailable("fairleadd ended the watch; it may be stopping: see `fairctl status`"));
}

}  // namespace

void AddWatchCommand(CLI::App* app, Context* context) {
  auto from = std::make_shared<std::string>();
  CLI::App* watch = app->add_subcommand(
      "watch", "Show changes of configuration and status as they happen; ends with Ctrl-C");
  watch->add_option("--from", *from,
                    "start after this revision (`fairctl status --json` shows the current one)");
  watch->callback([=] { context->action = [=] { return Watch(context, *from); }; });
}

}  // namespace fairlead::fairctl
