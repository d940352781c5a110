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

class Waiter {
 public:
  Waiter(Context* context, std::string path, std::string backend)
      : context_(*context), path_(std::move(path)), backend_(std::move(backend)) {}

  // `timeout_ms`: from now to the deadline.
  int Wait(Json drain, int64_t timeout_ms) {
    Countdown countdown(&context_);
    const int64_t give_up_ms = context_.environment().now_ms() + timeout_ms + kGraceMs;
    countdown.Show(DrainText(backend_, drain));
    while (TextOf(Member(drain, "state")) != "drained") {
      if (context_.environment().now_ms() > give_up_ms) {
        countdown.End();
        return TimedOut(drain);
      }
      context_.environment().sleep(kPollInterval);
      const Result<Json> next = context_.Call("GET", path_);
      if (next.ok()) {
        drain = *next;
        unreachable_since_ms_ = 0;
      } else if (!MayRetry(next.status())) {
        countdown.End();
        return context_.Fail(Explained(next.status()));
      }
      countdown.Show(DrainText(backend_, drain));
    }
    countdown.End();
    context_.PrintJson(drain);
    return kExitOk;
  }

 private:
  // fairleadd may be restarted while we wait: the drain is durable.
  bool MayRetry(const Status& status) {
    if (status.code() != ErrorCode::kUnavailable) return false;
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
    context_.err() << "fairctl: " << DrainText(backend_, drain)
                   << "; gave up waiting behind the deadline. It goes on draining; `fairctl "
                      "status` says whether the dataplane is connected.\n";
    return kExitWaitTimeout;
  }

  Context& context_;
  std::string path_;
  std::string backend_;
  int64_t unreachable_since_ms_ = 0;
};

// From now to the deadline that fairleadd set; what was asked for when the reply has none.
int64_t TimeoutMs(const Json& drain, const std::string& asked, int64_t now_ms) {
  const std::optional<int64_t> deadline_ms = ParseRfc3339Ms(TextOf(Member(drain, "deadline")));
  if (deadline_ms) return std::max<int64_t>(0, *deadline_ms - now_ms);
  const Result<uint32_t> timeout = ParseDurationMs(asked);
  return timeout.ok() ? *timeout : 3'600'000;
}

}  // namespace

int Drain(Context* context, const DrainOptions& options) {
  const Result<Endpoint> endpoint = Endpoint::Parse(options.backend);
  if (!endpoint.ok()) return context->FailUsage(endpoint.status().message());
  std::optional<Json> body;
  if (!options.timeout.empty()) {
    const Result<uint32_t> timeout = ParseDurationMs(options.timeout);
    if (!timeout.ok()) return context->FailUsage("--timeout: " + timeout.status().message());
    body = Json{{"timeout", options.timeout}};
  }
  const std::string path = BackendPath(options.service, *endpoint) + "/drain";
  const Result<Json> drain = context->Call("PUT", path, body);
  if (!drain.ok()) return context->Fail(drain.status());
  const std::string backend = endpoint->ToString();
  if (options.wait) {
    const int64_t now_ms = context->environment().now_ms();
    return Waiter(context, path, backend).Wait(*drain, TimeoutMs(*drain, options.timeout, now_ms));
  }
  if (context->PrintJson(*drain)) return kExitOk;
  context->out() << DrainText(backend, *drain) << InForceText(*drain) << '\n'
                 << "No new flow goes to it. `fairctl backend drain " << options.service << " "
                 << backend << " --wait` returns when it is safe to stop.\n";
  return kExitOk;
}

}  // namespace fairlead::fairctl
