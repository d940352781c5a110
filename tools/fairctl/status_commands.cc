#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include <fmt/format.h>

#include "lib/intent/json.h"
#include "tools/fairctl/commands.h"
#include "tools/fairctl/format.h"
#include "tools/fairctl/number_check.h"

namespace fairlead::fairctl {
namespace {

struct StatsOptions {
  bool watch = false;
  std::string interval = "1s";
  unsigned count = 0;  // 0 = until interrupted
};

// "3 healthy, 1 draining"
std::string CountsText(const Json& counts) {
  std::string text;
  if (!counts.is_object()) return "-";
  for (const auto& [state, count] : counts.items()) {
    if (NumberOf(count) == 0) continue;
    text += (text.empty() ? "" : ", ") + Shown(count) + " " + state;
  }
  return text.empty() ? "none" : text;
}

// The version of the dataplane that the next start would run; empty: none is installed. The program
// tells it itself: fairleadd may be of another version, and may not look at the running dataplane's
// file.
std::string InstalledVersion(Context* context) {
  const Result<ProgramResult> result =
      context->environment().run({FAIRLEAD_SBINDIR "/fairlead-dataplane", "--version"});
  const std::string_view name = "fairlead-dataplane ";
  if (!result.ok() || result->status != 0 || !result->out.starts_with(name)) return "";
  return result->out.substr(name.size(), result->out.find('\n') - name.size());
}

// "running 0.2.0, installed 0.3.0, " if the two differ. "release 0.2.0, " if only fairleadd's
// `version` differs. Else empty.
std::string ReleaseText(Context* context, const Json& release, const Json& version) {
  if (!release.is_string()) return "";
  const std::string running = TextOf(release);
  const std::string installed = InstalledVersion(context);
  if (!installed.empty() && installed != running) {
    return "running " + running + ", installed " + installed + ", ";
  }
  return release == version ? "" : "release " + running + ", ";
}

std::string DataplaneText(Context* context, const Json& dataplane, const Json& generation,
                          const Json& version) {
  const std::string error = TextOf(Member(dataplane, "error"));
  if (!IsTrue(Member(dataplane, "connected"))) {
    return "not connected" + (error.empty() ? "" : ": " + error) +
           "; changes are stored and will be sent once it runs";
  }
  std::string text = "connected, " + ReleaseText(context, Member(dataplane, "release"), version) +
                     "pid " + Shown(Member(dataplane, "pid")) + ", " +
                     Shown(Member(dataplane, "workers")) + " worker(s), generation ";
  const Json& unknown = Member(dataplane, "unknown_generation");
  text += Shown(unknown.is_number() ? unknown : Member(dataplane, "generation"));
  if (unknown.is_number()) {
    text += " of another state of the store in force, " + Shown(generation) + " is not published";
  } else if (Member(dataplane, "generation") == generation) {
    text += " in force (applied in " + Shown(Member(dataplane, "applied_us")) + " us)";
  } else {
    text += " in force, not yet " + Shown(generation);
  }
  return error.empty() ? text : text + "; " + error;
}

// One line for all links, and one for each that is down.
void PrintLinks(Context* context, const Json& dataplane) {
  const Json& ports = List(Member(dataplane, "ports"));
  size_t up_count = 0;
  for (const Json& port : ports) up_count += IsTrue(Member(Member(port, "link"), "up")) ? 1 : 0;
  if (!ports.empty()) {
    context->out() << "links       "
                   << CountsText({{"up", up_count}, {"down", ports.size() - up_count}}) << '\n';
  }
  for (const Json& port : ports) {
    const Json& link = Member(port, "link");
    if (IsTrue(Member(link, "up"))) continue;
    const std::string age =
        FormatAge(TextOf(Member(link, "since")), context->environment().now_ms());
    context->out() << "            port " << Shown(Member(port, "name")) << ": "
                   << Coloured("link down for " + age, Colour::kRed, context->colour()) << '\n';
  }
}

void PrintUnsupported(Context* context, const Json& dataplane) {
  for (const Json& each : List(Member(dataplane, "unsupported"))) {
    context->out() << "unsupported " << Shown(Member(each, "service")) << ' '
                   << Coloured(TextOf(Member(each, "field")), Colour::kRed, context->colour())
                   << ": " << Shown(Member(each, "message")) << '\n';
  }
}

void PrintLeftOutFrontends(Context* context, const Json& status) {
  for (const Json& frontend : List(Member(status, "left_out_frontends"))) {
    context->out() << "left out    " << Shown(Member(frontend, "service")) << ' '
                   << Coloured(TextOf(Member(frontend, "frontend")), Colour::kRed,
                               context->colour())
                   << ": " << Shown(Member(frontend, "message")) << '\n';
  }
}

void PrintLeftOut(Context* context, const Json& status) {
  const Json& left_out = List(Member(status, "left_out"));
  if (left_out.empty()) return;
  const uint64_t count = NumberOf(Member(status, "left_out_count"));
  const std::string text = fmt::format("{} {} that the dataplane cannot use", count,
                                       count == 1 ? "backend" : "backends");
  context->out() << "left out    " << Coloured(text, Colour::kRed, context->colour()) << '\n';
  for (const Json& backend : left_out) {
    context->out() << "            " << Shown(Member(backend, "service")) << ' '
                   << Shown(Member(backend, "backend")) << ": " << Shown(Member(backend, "message"))
                   << '\n';
  }
  if (left_out.size() < count) {
    context->out() << "            and " << count - left_out.size() << " more\n";
  }
}

// Why no failed check counts now, and when half of all endpoints failed last.
void PrintIsolation(Context* context, const Json& status) {
  const int64_t now_ms = context->environment().now_ms();
  for (const Json& way : List(Member(Member(status, "isolated"), "ways"))) {
    const std::string text =
        fmt::format("for {}: {}; backends behind it keep their states",
                    FormatAge(TextOf(Member(way, "since")), now_ms), TextOf(Member(way, "reason")));
    context->out() << "isolated    " << Coloured(text, Colour::kRed, context->colour()) << '\n';
  }
  const Json& failed = Member(status, "failed_together");
  if (!failed.is_object()) return;
  context->out() << "failed      " << Shown(Member(failed, "failed")) << " of "
                 << Shown(Member(failed, "of")) << " healthy backend addresses together, "
                 << FormatAge(TextOf(Member(failed, "at")), now_ms) << " ago\n";
}

int ShowStatus(Context* context) {
  const Result<Json> reply = context->Call("GET", "/v1/status");
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  const Json& status = *reply;
  const Json& dataplane = Member(status, "dataplane");
  const Colour colour = IsTrue(Member(dataplane, "connected")) ? Colour::kGreen : Colour::kRed;
  const std::string dataplane_text =
      DataplaneText(context, dataplane, Member(status, "generation"), Member(status, "version"));
  context->out() << "fairleadd   " << Shown(Member(status, "version")) << ", pid "
                 << Shown(Member(status, "pid")) << ", up "
                 << FormatDuration(NumberOf(Member(status, "uptime_s"))) << '\n'
                 << "generation  " << Shown(Member(status, "generation")) << '\n'
                 << "hash seed   " << Shown(Member(status, "hash_seed")) << ", table "
                 << Shown(Member(status, "table_digest")) << '\n'
                 << "dataplane   " << Coloured(dataplane_text, colour, context->colour()) << '\n';
  PrintLinks(context, dataplane);
  context->out() << "services    " << Shown(Member(status, "services")) << '\n'
                 << "backends    " << CountsText(Member(status, "backends")) << '\n';
  PrintIsolation(context, status);
  PrintUnsupported(context, dataplane);
  PrintLeftOutFrontends(context, status);
  PrintLeftOut(context, status);
  if (const std::string error = TextOf(Member(status, "store_error")); !error.empty()) {
    context->out() << "store       "
                   << Coloured("changes and observations are not stored: " + error, Colour::kRed,
                               context->colour())
                   << '\n';
  }
  return kExitOk;
}

// Rates of counters between two replies; "-" for the first reply.
class Rates {
 public:
  // Call once for each reply, before Of().
  void Begin(int64_t now_ms) {
    elapsed_s_ = then_ms_ ? static_cast<double>(now_ms - *then_ms_) / 1000 : 0;
    then_ms_ = now_ms;
  }
  // The counter's rate per second since the last call for `name`.
  std::string Of(const std::string& name, uint64_t value) {
    const auto [entry, first] = last_.try_emplace(name, value);
    const uint64_t before = entry->second;
    entry->second = value;
    // A counter that fell means that the dataplane was restarted.
    if (first || elapsed_s_ <= 0 || value < before) return "-";
    return FormatRate(static_cast<double>(value - before) / elapsed_s_);
  }

 private:
  std::optional<int64_t> then_ms_;
  double elapsed_s_ = 0;
  std::map<std::string, uint64_t> last_;
};

// "1.5 ms, 0.3 ms": one for each worker.
std::string PausesText(const Json& pauses_us) {
  std::string text;
  for (const Json& pause_us : List(pauses_us)) {
    const double pause_ms = static_cast<double>(NumberOf(pause_us)) / 1000;
    text += fmt::format("{}{:.1f} ms", text.empty() ? "" : ", ", pause_ms);
  }
  return text;
}

void PrintLinkCounters(Context* context, const Json& stats) {
  for (const Json& port : List(Member(stats, "ports"))) {
    const Json& link = Member(port, "link");
    if (!link.is_object()) continue;
    const bool is_up = IsTrue(Member(link, "up"));
    const uint64_t speed_mbps = NumberOf(Member(link, "speed_mbps"));
    const uint64_t changes = NumberOf(Member(link, "changes"));
    context->out() << "\nport " << Shown(Member(port, "name")) << ": link "
                   << Coloured(is_up ? "up" : "down", is_up ? Colour::kGreen : Colour::kRed,
                               context->colour())
                   << (speed_mbps == 0 ? "" : fmt::format(", {} Mbit/s", speed_mbps))
                   << fmt::format(", {} {} since start", changes,
                                  changes == 1 ? "change" : "changes");
  }
  context->out() << '\n';
}

// The counters stay what the dataplane sent last.
void PrintIfAway(Context* context, const Json& stats) {
  if (Member(Member(stats, "dataplane"), "connected") != Json(false)) return;
  context->out() << Coloured(
                        "The dataplane is not connected: counters and links are the last that it "
                        "sent.",
                        Colour::kRed, context->colour())
                 << "\n\n";
}

void PrintTotals(Context* context, const Json& stats, Rates* rates) {
  PrintIfAway(context, stats);
  const Json& totals = Member(stats, "totals");
  const Json& drops = Member(totals, "drops");
  Table table({{"PACKETS"}, {"TOTAL", Align::kRight}, {"PER SECOND", Align::kRight}});
  const auto add = [&](const std::string& name, const Json& value) {
    table.Add({name, Shown(value), rates->Of("total " + name, NumberOf(value))});
  };
  add("received", Member(totals, "rx"));
  add("sent", Member(totals, "tx"));
  add("generated", Member(totals, "generated"));
  add("to kernel", Member(totals, "to_kernel"));
  if (drops.is_object()) {
    for (const auto& [reason, count] : drops.items()) {
      if (NumberOf(count) != 0) add("dropped: " + reason, count);
    }
  }
  for (const Json& port : List(Member(stats, "ports"))) {
    const std::string name = Shown(Member(port, "name"));
    const auto add_port = [&](const char* kind, const char* member, const std::string& text) {
      const Json& counters = Member(port, kind);
      if (counters.is_object()) add(name + ": " + text, Member(counters, member));
    };
    add_port("steering", "to_dataplane", "steered to the dataplane");
    add_port("steering", "to_kernel", "steered to the kernel");
    add_port("steering", "no_socket", "steered to a queue without a worker");
    add_port("kernel_path", "delivered", "TAP, delivered to the kernel");
    add_port("kernel_path", "lost", "TAP, not delivered to the kernel");
    add_port("kernel_path", "sent", "TAP, sent for the kernel");
    add_port("kernel_path", "unsent", "TAP, not sent for the kernel");
    add_port("nic", "rx_missed", "NIC, missed (queues full)");
    add_port("nic", "rx_errors", "NIC, received with errors");
    add_port("nic", "rx_no_buffer", "NIC, no packet buffer free");
    add_port("nic", "tx_errors", "NIC, not sent because of errors");
  }
  table.Print(context->out(), context->colour());
  PrintLinkCounters(context, stats);
  const Json& flows = Member(stats, "flows");
  context->out() << "flows: " << Shown(Member(flows, "records")) << " recorded of at most "
                 << Shown(Member(flows, "capacity")) << " (" << Shown(Member(flows, "pins"))
                 << " pinned to a backend that is not their slot's owner), since start "
                 << Shown(Member(flows, "new")) << " new, " << Shown(Member(flows, "old"))
                 << " older than a change, " << Shown(Member(flows, "evicted")) << " evicted, "
                 << Shown(Member(flows, "untracked")) << " packets untracked\n";
  const Json& dataplane = Member(stats, "dataplane");
  if (const std::string pauses = PausesText(Member(dataplane, "longest_pauses_us"));
      !pauses.empty()) {
    context->out() << "workers: longest pause between two polls since start " << pauses << '\n';
  }
  context->out() << '\n';
}

void PrintServices(Context* context, const Json& stats, Rates* rates) {
  using enum Align;
  Table table({{"SERVICE"},
               {"BACKEND"},
               {"PACKETS", kRight},
               {"PER SECOND", kRight},
               {"BYTES", kRight},
               {"FLOWS", kRight},
               {"PINS", kRight},
               {"NEW FLOWS", kRight},
               {"DROPS", kRight},
               {"SLOTS"}});
  for (const Json& service : List(Member(stats, "services"))) {
    const std::string name = Shown(Member(service, "name"));
    const auto add = [&](const std::string& backend, const Json& row) {
      const Json& packets = Member(row, "packets");
      table.Add({backend.empty() ? name : "", backend, Shown(packets),
                 rates->Of(name + " " + backend, NumberOf(packets)),
                 FormatBytes(NumberOf(Member(row, "bytes"))),
                 backend.empty() ? "" : Shown(Member(row, "flows")),
                 backend.empty() ? "" : Shown(Member(row, "pins")),
                 backend.empty() ? "" : Shown(Member(row, "new_flows")),
                 backend.empty() ? Shown(Member(row, "drops")) : "",
                 backend.empty() ? SlotsText(Member(row, "slots")) : ""});
    };
    add("", service);
    for (const Json& backend : List(Member(service, "backends"))) {
      add(EndpointText(backend), backend);
    }
  }
  if (!table.empty()) table.Print(context->out(), context->colour());
}

int ShowStats(Context* context, const StatsOptions& options) {
  const Result<uint32_t> interval_ms = ParseDurationMs(options.interval);
  if (!interval_ms.ok()) return context->FailUsage("--interval: " + interval_ms.status().message());
  Environment& environment = context->environment();
  Rates rates;
  for (unsigned round = 1;; ++round) {
    const Result<Json> reply = context->Call("GET", "/v1/stats");
    if (!reply.ok()) return context->Fail(reply.status());
    if (context->json && options.watch) {
      context->out() << reply->dump() << std::endl;  // one object a line
    } else if (!context->PrintJson(*reply)) {
      rates.Begin(environment.now_ms());
      if (options.watch && environment.out_is_tty) context->out() << "\x1b[H\x1b[2J";
      if (options.watch && !environment.out_is_tty && round > 1) context->out() << '\n';
      PrintTotals(context, *reply, &rates);
      PrintServices(context, *reply, &rates);
      context->out() << std::flush;
    }
    if (!options.watch || round == options.count || !context->out()) return kExitOk;
    environment.sleep(std::chrono::milliseconds(*interval_ms));
  }
}

}  // namespace

void AddStatusCommands(CLI::App* app, Context* context) {
  CLI::App* status = app->add_subcommand("status", "Show what is running and what is in force");
  status->callback([=] { context->action = [=] { return ShowStatus(context); }; });

  auto options = std::make_shared<StatsOptions>();
  CLI::App* stats = app->add_subcommand("stats", "Packets, drops and flows");
  CLI::Option* watch =
      stats->add_flag("--watch", options->watch, "repeat, with rates, until Ctrl-C");
  stats->add_option("--interval", options->interval, "time between two rounds of --watch")
      ->capture_default_str()
      ->needs(watch);
  stats->add_option("--count", options->count, "end --watch after this many rounds")
      ->needs(watch)
      ->transform(DecimalNumber(1, 1000000000));
  stats->callback([=] { context->action = [=] { return ShowStats(context, *options); }; });
}

}  // namespace fairlead::fairctl
