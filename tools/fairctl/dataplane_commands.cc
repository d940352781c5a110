// fairctl dataplane restart
//
// Asks the installed program (--check) what a start with the unit's options would take over from
// the dataplane that runs, restarts the unit, and waits until fairleadd is connected to the new one.
#include <chrono>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "tools/fairctl/commands.h"
#include "tools/fairctl/format.h"
#include "tools/fairctl/systemd_unit.h"

namespace fairlead::fairctl {
namespace {

constexpr std::chrono::milliseconds kRestartPollInterval{20};
constexpr int64_t kRestartLimitMs = 30'000;
constexpr int kCheckTakesOver = 0;  // exit status of fairlead-dataplane --check
constexpr int kCheckLoses = 1;

struct RestartOptions {
  std::string unit = "fairlead-dataplane.service";
  bool force = false;
  bool wait = false;
  bool dry_run = false;
};

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

// What the dataplane that fairleadd is connected to says about itself. Two processes differ in it.
struct Incarnation {
  bool connected = false;
  uint64_t pid = 0;
  std::string started_at;

  static Incarnation Of(const Json& status) {
    const Json& dataplane = Member(status, "dataplane");
    return {IsTrue(Member(dataplane, "connected")), NumberOf(Member(dataplane, "pid")),
            TextOf(Member(dataplane, "started_at"))};
  }
  bool IsOther(const Incarnation& before) const {
    return connected && (!before.connected || pid != before.pid || started_at != before.started_at);
  }
};

class Restarter {
 public:
  Restarter(Context* context, RestartOptions options)
      : context_(*context), options_(std::move(options)) {}

  int Run() {
    Result<ServiceUnit> unit = ReadServiceUnit(context_.environment().run, options_.unit);
    if (!unit.ok()) return Fail(unit.status());
    unit_ = *std::move(unit);
    if (const Status checked = Check(); !checked.ok()) return Fail(checked);
    if (const Status reliable = CheckIsReliable(); !reliable.ok()) return Fail(reliable);
    ReadStatusBefore();
    AddPrivateRecords();
    PrintCheck();
    const std::string lost = LostParts();
    if (options_.dry_run) {
      PrintResult();
      return lost.empty() ? kExitOk : kExitFailed;
    }
    if (!lost.empty() && !options_.force) {
      return Fail(FailedPrecondition("a restart would lose: " + lost +
                                     "; established connections may break. Nothing was changed; "
                                     "--force restarts all the same"));
    }
    return Restart();
  }

 private:
  // With --json, also prints what is known so far.
  int Fail(const Status& status) {
    PrintResult();
    return context_.Fail(status);
  }
  void PrintResult() {
    if (!result_.is_null()) context_.PrintJson(result_);
  }

  // Fails if the installed program cannot start, or cannot tell.
  Status Check() {
    std::vector<std::string> command = unit_.command;
    command.insert(command.begin() + 1, {"--check", "--json"});
    const Result<ProgramResult> checked = context_.environment().run(command);
    if (!checked.ok()) {
      return FailedPrecondition(checked.status().message() + "; the dataplane that runs was left " +
                                "alone");
    }
    check_ = Json::parse(checked->out, nullptr, /*allow_exceptions=*/false);
    const bool answered = check_.is_object() && Member(check_, "parts").is_array() &&
                          (checked->status == kCheckTakesOver || checked->status == kCheckLoses);
    if (!answered) {
      const std::string error = TextOf(Member(check_, "error"));
      const std::string why = error.empty() ? FirstLine(checked->err) : error;
      return FailedPrecondition(unit_.command[0] + " would not start with the options of " +
                                unit_.name + ": " +
                                (why.empty() ? "status " + std::to_string(checked->status) : why) +
                                ". Nothing was changed; correct it first, or restart without the " +
                                "check: systemctl restart " + unit_.name);
    }
    result_ = {{"unit", unit_.name},
               {"program", unit_.command[0]},
               {"check", check_},
               {"restarted", false}};
    return {};
  }

  // To the check, files of the dataplane that this user may not read are lost.
  Status CheckIsReliable() {
    if (LostParts().empty() || context_.environment().may_act_for(unit_.main_pid)) return {};
    result_ = nullptr;
    return FailedPrecondition(
        "the check needs root: only root may read the files of the dataplane that runs, so what a "
        "restart would lose is not known. Nothing was changed; run the command as root");
  }

  void ReadStatusBefore() {
    const Result<Json> status = context_.Call("GET", "/v1/status");
    if (!status.ok()) {
      unreachable_ = status.status();
      return;
    }
    before_ = Incarnation::Of(*status);
    release_before_ = TextOf(Member(Member(*status, "dataplane"), "release"));
  }

  // A table without a file ends with its process. Only the statistics show that it has records.
  void AddPrivateRecords() {
    if (!before_.connected) return;
    const Result<Json> stats = context_.Call("GET", "/v1/stats");
    const uint64_t records = stats.ok() ? NumberOf(Member(Member(*stats, "flows"), "records")) : 0;
    if (records == 0) return;
    for (Json& part : check_["parts"]) {
      if (TextOf(Member(part, "name")) != "flow_records" ||
          TextOf(Member(part, "outcome")) != "nothing") {
        continue;
      }
      part["outcome"] = "lost";
      part["count"] = records;
      part["text"] = std::to_string(records) +
                     " records, which the dataplane that runs has in private memory; its log says "
                     "why";
      check_["complete"] = false;
    }
    result_["check"] = check_;
  }

  void PrintCheck() {
    if (context_.json) return;
    const std::string release = TextOf(Member(check_, "release"));
    context_.out() << "installed      " << unit_.command[0] << ", release " << release
                   << (release_before_.empty() || release_before_ == release
                           ? ""
                           : " (" + release_before_ + " is running)")
                   << '\n';
    for (const Json& part : check_["parts"]) {
      std::string name = TextOf(Member(part, "name"));
      std::ranges::replace(name, '_', ' ');
      name.resize(15, ' ');
      const std::string outcome = TextOf(Member(part, "outcome"));
      context_.out() << name
                     << (outcome == "lost"
                             ? Coloured("lost", Colour::kRed, context_.colour()) + ": "
                         : outcome == "taken_over" ? "taken over: "
                                                   : "")
                     << TextOf(Member(part, "text")) << '\n';
    }
    context_.out() << std::flush;
  }

  // "flow records, slot states"; empty if nothing is lost.
  std::string LostParts() const {
    std::string lost;
    for (const Json& part : Member(check_, "parts")) {
      if (TextOf(Member(part, "outcome")) != "lost") continue;
      std::string name = TextOf(Member(part, "name"));
      std::ranges::replace(name, '_', ' ');
      lost += (lost.empty() ? "" : ", ") + name;
    }
    return lost;
  }

  int Restart() {
    const int64_t begun_ms = context_.environment().now_ms();
    const Result<ProgramResult> done =
        context_.environment().run({"systemctl", "restart", "--", unit_.name});
    if (!done.ok()) return Fail(FailedPrecondition(done.status().message()));
    if (done->status != 0) {
      return Fail(FailedPrecondition("systemctl restart " + unit_.name + ": " +
                                     FirstLine(done->err) + "; " + StateAfterFailure() +
                                     "; see `journalctl -u " + unit_.name + "`"));
    }
    result_["restarted"] = true;
    if (!unreachable_.ok()) {
      PrintResult();
      context_.err() << "fairctl: " << unit_.name
                     << " was restarted, but whether it forwards is not known: "
                     << unreachable_.message() << '\n';
      return ExitCodeOf(unreachable_.code());
    }
    return WaitUntilConnected(begun_ms);
  }

  // systemctl may have refused the restart, or the new process may have failed.
  std::string StateAfterFailure() {
    const Result<ServiceUnit> now = ReadServiceUnit(context_.environment().run, unit_.name);
    if (!now.ok()) return "whether the dataplane runs is not known";
    if (!now->active) return "the dataplane is not running, and forwarding has stopped";
    return now->main_pid == unit_.main_pid ? "the dataplane was not restarted and still runs"
                                           : "the dataplane runs again";
  }

  int WaitUntilConnected(int64_t begun_ms) {
    std::string missing;
    for (;;) {
      const Result<Json> status = context_.Call("GET", "/v1/status");
      if (status.ok()) {
        const Json& dataplane = Member(*status, "dataplane");
        const bool connected = Incarnation::Of(*status).IsOther(before_);
        const bool in_force = Member(dataplane, "generation") == Member(*status, "generation") &&
                              NumberOf(Member(dataplane, "generation")) != 0;
        if (connected && (in_force || !options_.wait)) return Report(dataplane, begun_ms);
        missing = connected
                      ? "generation " + Shown(Member(*status, "generation")) +
                            " is not in force: " + TextOf(Member(dataplane, "error"))
                      : "fairleadd is not connected to it: " + TextOf(Member(dataplane, "error"));
      } else {
        missing = status.status().message();
      }
      if (context_.environment().now_ms() - begun_ms > kRestartLimitMs) break;
      context_.environment().sleep(kRestartPollInterval);
    }
    PrintResult();
    context_.err() << "fairctl: " << unit_.name << " was restarted, but after "
                   << kRestartLimitMs / 1000 << " s " << missing << "; see `journalctl -u "
                   << unit_.name << "`\n";
    return kExitWaitTimeout;
  }

  int Report(const Json& dataplane, int64_t begun_ms) {
    const std::optional<int64_t> started_ms =
        ParseRfc3339Ms(TextOf(Member(dataplane, "started_at")));
    const Json& records = Member(dataplane, "records_taken_over");
    if (started_ms) result_["gap_ms"] = std::max<int64_t>(*started_ms - begun_ms, 0);
    for (const char* name : {"pid", "generation", "records_taken_over"}) {
      result_[name] = Member(dataplane, name);
    }
    if (context_.PrintJson(result_)) return kExitOk;
    context_.out() << "restarted      "
                   << (started_ms
                           ? "forwarding stopped for at most " + Shown(result_["gap_ms"]) + " ms"
                           : std::string("connected again"))
                   << (records.is_number() ? ", " + Shown(records) + " flow records taken over"
                                           : "")
                   << ", pid " << Shown(Member(dataplane, "pid")) << ", generation "
                   << Shown(Member(dataplane, "generation")) << '\n';
    return kExitOk;
  }

  Context& context_;
  const RestartOptions options_;
  ServiceUnit unit_;
  Json check_;
  Json result_;  // with --json
  Incarnation before_;
  std::string release_before_;
  Status unreachable_;  // why fairleadd did not answer before the restart
};

}  // namespace

void AddDataplaneCommands(CLI::App* app, Context* context) {
  CLI::App* dataplane = app->add_subcommand("dataplane", "The dataplane's process: restart");
  dataplane->require_subcommand(1);
  auto options = std::make_shared<RestartOptions>();
  CLI::App* restart = dataplane->add_subcommand(
      "restart",
      "Restart the dataplane's systemd unit, after a check that the installed program takes over "
      "snapshot, flow records and slot states");
  restart->add_flag("--force", options->force, "restart even if something is lost");
  restart->add_flag("--wait", options->wait,
                    "return when the newest generation is in force in the new dataplane, not only "
                    "when it is connected");
  restart->add_flag("--dry-run", options->dry_run,
                    "only check; exit status 1 if something would be lost");
  restart->add_option("--unit", options->unit, "the systemd unit")->capture_default_str();
  restart->callback([=] { context->action = [=] { return Restarter(context, *options).Run(); }; });
}

}  // namespace fairlead::fairctl
