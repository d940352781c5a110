// fairctl backend drain [--wait]
#include <algorithm>
#include <chrono>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "lib/intent/json.h"
#include "tools/fairctl/commands.h"
#include "tools/fairctl/format.h"

namespace fairlead::fairctl {
namespace {

constexpr std::chrono::milliseconds kPollInterval{250};
// What fairleadd may need behind the deadline to sweep, decide and publish, or to be restarted.
constexpr int64_t kGraceMs = 30'000;

// The line that counts down: rewritten on a terminal, one line a change elsewhere.
class Countdown {
 public:
  explicit Countdown(Context* context) : context_(*context) {}

  void Show(const std::string& line) {
    if (context_.json || line == shown_) return;
    if (context_.environment().out_is_tty) {
      context_.out() << '\r' << line << "\x1b[K" << std::flush;
    } else {
      context_.out() << line << std::endl;
    }
    shown_ = line;
  }
  void End() {
    if (!shown_.empty() && context_.environment().out_is_tty) context_.out() << std::endl;
    shown_.clear();
  }

 private:
  Context& context_;
  std::string shown_;
};

std::string DrainText(const std::string& backend, const Json& drain) {
  const Json& remaining = Member(drain, "remaining_flows");
  const std::string state = Shown(Member(drain, "state"));
  if (state == "drained") return backend + ": drained, " + Shown(Member(drain, "reason"));
  if (!remaining.is_number()) return backend + ": " + state + ", flows not counted yet";
  const bool one = NumberOf(remaining) == 1;
  const std::string unseen = TextOf(Member(drain, "unseen_until"));
  return backend + ": " + state + ", " + Shown(remaining) +
         (one ? " flow remains" : " flows remain") +
         (unseen.empty() ? "" : ", silent ones may live until " + unseen);
}

bool IsDrained(const Json& drain) { return TextOf(Member(drain, "state")) == "drained"; }

// Some time behind the deadline that fairleadd set, and not before `started_ms` and that time; what
// was asked for counts when the reply has no deadline.
int64_t GiveUpMs(const Json& drain, const std::string& asked, int64_t started_ms) {
  const std::optional<int64_t> deadline_ms = ParseRfc3339Ms(TextOf(Member(drain, "deadline")));
  if (deadline_ms) return std::max(started_ms, *deadline_ms) + kGraceMs;
  const Result<uint32_t> timeout = ParseDurationMs(asked);
  return started_ms + (timeout.ok() ? *timeout : 3'600'000) + kGraceMs;
}

class Waiter {
 public:
  Waiter(Context* context, std::string path, std::string backend)
      : context_(*context), path_(std::move(path)), backend_(std::move(backend)) {}

  // `timeout`: as it was asked for.
  int Wait(Json drain, const std::string& timeout) {
    Countdown countdown(&context_);
    const int64_t started_ms = context_.environment().now_ms();
    int64_t give_up_ms = GiveUpMs(drain, timeout, started_ms);
    countdown.Show(DrainText(backend_, drain));
    while (!IsDrained(drain) || !IsTrue(Member(drain, "in_force"))) {
      if (context_.environment().now_ms() > give_up_ms) {
        countdown.End();
        return TimedOut(drain);
      }
      context_.environment().sleep(kPollInterval);
      const Result<Json> next = context_.Call("GET", path_);
      if (next.ok()) {
        drain = *next;
        unreachable_since_ms_ = 0;
        // Somebody may have moved the deadline. Behind it, the time that is left stays as it is.
        if (!IsDrained(drain)) give_up_ms = GiveUpMs(drain, timeout, started_ms);
      } else if (!MayRetry(next.status())) {
        countdown.End();
        return context_.Fail(Explained(next.status()));
      }
      countdown.Show(DrainText(backend_, drain));
    }
    countdown.End();
    context_.PrintJson(drain);
    if (!IsTrue(Member(drain, "flows_kept"))) return kExitOk;
    context_.err() << "fairctl: " << backend_
                   << " has flows that stay on it (on_deadline: keep): to stop it now cuts them.\n";
    return kExitWaitTimeout;
  }

 private:
  // fairleadd may be restarted while we wait, or have as many clients as it takes (a refusal, to
  // Context): the drain is durable.
  bool MayRetry(const Status& status) {
    if (status.code() != ErrorCode::kUnavailable &&
        status.code() != ErrorCode::kFailedPrecondition) {
      return false;
    }
    const int64_t now_ms = context_.environment().now_ms();
    if (unreachable_since_ms_ == 0) unreachable_since_ms_ = now_ms;
    return now_ms - unreachable_since_ms_ < kGraceMs;
  }

  Status Explained(const Status& status) const {
    if (status.code() != ErrorCode::kNotFound) return status;
    return NotFound("the drain of " + backend_ +
                    " was ended by somebody else (undrained or removed): " + status.message());
  }

  int TimedOut(const Json& drain) {
    context_.PrintJson(drain);
    context_.err()
        << "fairctl: " << DrainText(backend_, drain)
        << (IsDrained(drain)
                ? "; but the dataplane has not confirmed it and may still send new flows "
                  "there: do not stop it. `fairctl status` says why.\n"
                : "; gave up waiting behind the deadline. It goes on draining; `fairctl "
                  "status` says whether the dataplane is connected.\n");
    return kExitWaitTimeout;
  }

  Context& context_;
  std::string path_;
  std::string backend_;
  int64_t unreachable_since_ms_ = 0;
};

}  // namespace

int Drain(Context* context, const DrainOptions& options) {
  const Result<Endpoint> endpoint = Endpoint::Parse(options.backend);
  if (!endpoint.ok()) return context->FailUsage(endpoint.status().message());
  std::optional<Json> body;
  const std::string timeout = TextOf(Member(options.request, "timeout"));
  if (!options.request.empty()) {
    if (const Result<uint32_t> parsed = ParseDurationMs(timeout); !parsed.ok()) {
      return context->FailUsage("--timeout: " + parsed.status().message());
    }
    body = options.request;
  }
  const std::string path = BackendPath(options.service, *endpoint) + "/drain";
  const Result<Json> drain = context->Call("PUT", path, body);
  if (!drain.ok()) return context->Fail(drain.status());
  const std::string backend = endpoint->ToString();
  if (options.wait) return Waiter(context, path, backend).Wait(*drain, timeout);
  if (context->PrintJson(*drain)) return kExitOk;
  context->out() << DrainText(backend, *drain) << InForceText(*drain) << '\n'
                 << (IsTrue(Member(*drain, "in_force")) ? "No new flow goes to it. " : "")
                 << "`fairctl backend drain " << options.service << " " << backend
                 << " --wait` returns when it is safe to stop.\n";
  return kExitOk;
}

}  // namespace fairlead::fairctl
