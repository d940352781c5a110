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
// How long the wait goes on after the deadline. fairleadd may need this time for the last sweep and
// to publish, or to restart.
constexpr int64_t kExtraWaitMs = 30'000;

// The line that counts down. On a terminal it is rewritten, elsewhere each change prints a new
// line.
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
         (unseen.empty() ? "" : ", idle flows may live until " + unseen);
}

bool IsDrained(const Json& drain) { return TextOf(Member(drain, "state")) == "drained"; }

// When to stop waiting: kExtraWaitMs after the deadline that fairleadd set or after `started_ms`,
// whichever is later. If the reply has no deadline, the timeout that was asked for counts, or the
// longest that may be asked for (1 h).
int64_t WaitLimitMs(const Json& drain, const std::string& asked, int64_t started_ms) {
  const std::optional<int64_t> deadline_ms = ParseRfc3339Ms(TextOf(Member(drain, "deadline")));
  if (deadline_ms) return std::max(started_ms, *deadline_ms) + kExtraWaitMs;
  const Result<uint32_t> timeout = ParseDurationMs(asked);
  return started_ms + (timeout.ok() ? *timeout : 3'600'000) + kExtraWaitMs;
}

class Waiter {
 public:
  Waiter(Context* context, std::string path, std::string backend)
      : context_(*context), path_(std::move(path)), backend_(std::move(backend)) {}

  // `timeout`: as it was asked for; "" = the service's.
  int Wait(Json drain, const std::string& timeout) {
    Countdown countdown(&context_);
    const int64_t started_ms = context_.environment().now_ms();
    int64_t limit_ms = WaitLimitMs(drain, timeout, started_ms);
    countdown.Show(DrainText(backend_, drain));
    while (!IsDrained(drain) || !IsTrue(Member(drain, "in_force"))) {
      if (context_.environment().now_ms() > limit_ms) {
        countdown.End();
        return TimedOut(drain);
      }
      context_.environment().sleep(kPollInterval);
      const Result<Json> next = context_.Call("GET", path_);
      if (next.ok()) {
        drain = *next;
        unreachable_since_ms_ = 0;
        // Another client may have moved the deadline. Once drained, the limit stays as it is.
        if (!IsDrained(drain)) limit_ms = WaitLimitMs(drain, timeout, started_ms);
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
                   << " still has flows (on_deadline: keep); stopping it now breaks them.\n";
    return kExitWaitTimeout;
  }

 private:
  // fairleadd may restart during the wait, or refuse the request because it has its maximum of
  // clients. The drain is durable, so the wait goes on.
  bool MayRetry(const Status& status) {
    if (status.code() != ErrorCode::kUnavailable &&
        status.code() != ErrorCode::kFailedPrecondition) {
      return false;
    }
    const int64_t now_ms = context_.environment().now_ms();
    if (unreachable_since_ms_ == 0) unreachable_since_ms_ = now_ms;
    return now_ms - unreachable_since_ms_ < kExtraWaitMs;
  }

  Status Explained(const Status& status) const {
    if (status.code() != ErrorCode::kNotFound) return status;
    return NotFound("the drain of " + backend_ +
                    " was ended by another client (undrained or removed): " + status.message());
  }

  int TimedOut(const Json& drain) {
    context_.PrintJson(drain);
    context_.err()
        << "fairctl: " << DrainText(backend_, drain)
        << (IsDrained(drain)
                ? "; but the dataplane has not confirmed it and may still send new flows "
                  "there: do not stop the backend. `fairctl status` says why.\n"
                : "; timed out after the deadline; still draining. `fairctl status` says whether "
                  "the dataplane is connected.\n");
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
