#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "lib/net/address.h"
#include "lib/net/flow_key.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/view.h"
#include "lib/table/explain.h"
#include "lib/table/explain_json.h"
#include "tools/fairctl/commands.h"
#include "tools/fairctl/file.h"
#include "tools/fairctl/format.h"

namespace fairlead::fairctl {
namespace {

struct ExplainOptions {
  std::string protocol;
  std::string source;
  std::string destination;
  std::string snapshot;  // empty: ask fairleadd
};

struct Flow {
  Protocol protocol;
  Endpoint source;
  Endpoint destination;
};

Result<Endpoint> ParseWithPort(const std::string& text) {
  ASSIGN_OR_RETURN(const Endpoint endpoint, Endpoint::Parse(text));
  if (endpoint.port == 0) {
    return InvalidArgument("\"" + text +
                           "\" has no port: write ADDRESS:PORT, such as 198.51.100.7:40000");
  }
  return endpoint;
}

Result<Flow> ParseFlow(const ExplainOptions& options) {
  ASSIGN_OR_RETURN(const Protocol protocol, ParseProtocol(options.protocol));
  ASSIGN_OR_RETURN(const Endpoint source, ParseWithPort(options.source));
  ASSIGN_OR_RETURN(const Endpoint destination, ParseWithPort(options.destination));
  if (source.address.family() != destination.address.family()) {
    return InvalidArgument(
        "source and destination have different address families: give two IPv4 or two IPv6 "
        "addresses");
  }
  return Flow{protocol, source, destination};
}

Result<Json> ExplainOffline(const std::string& path, const Flow& flow) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxSnapshotBytes));
  ASSIGN_OR_RETURN(const SnapshotImage image, LoadSnapshot(std::as_bytes(std::span(bytes))));
  const SnapshotView view(image.bytes());
  const FlowKey key = FlowKey::Make(flow.source.address, flow.source.port, flow.destination.address,
                                    flow.destination.port, static_cast<uint8_t>(flow.protocol));
  ASSIGN_OR_RETURN(const Explainer explainer, Explainer::Make(view, key));
  return ExplanationToJson(explainer.Explain(std::nullopt, std::nullopt));
}

Result<Json> AskFairleadd(Context* context, const Flow& flow) {
  return context->Call("POST", "/v1/explain",
                       Json{{"protocol", ProtocolName(flow.protocol)},
                            {"source", flow.source.ToString()},
                            {"destination", flow.destination.ToString()}});
}

std::string NextHopText(const Json& next_hop) {
  std::string text = Shown(Member(next_hop, "mac"));
  if (NumberOf(Member(next_hop, "vlan")) != 0) {
    text += " vlan " + Shown(Member(next_hop, "vlan"));
  }
  const std::string interface = TextOf(Member(next_hop, "interface"));
  return interface.empty() ? text : text + " on " + interface;
}

std::string RecordText(const Json& record) {
  std::string text = "backend " + Shown(Member(record, "backend")) + ", last packet " +
                     Shown(Member(record, "age_ms")) + " ms ago";
  if (TextOf(Member(record, "class")) == "old") text += ", class old";
  for (const char* flag : {"confirmed", "closing"}) {
    if (IsTrue(Member(record, flag))) text.append(", ").append(flag);
  }
  return text;
}

void Print(Context* context, const Flow& flow, const Json& answer) {
  std::ostream& out = context->out();
  const std::string verdict = Shown(Member(answer, "verdict"));
  out << "flow      " << ProtocolName(flow.protocol) << ' ' << flow.source.ToString() << " -> "
      << flow.destination.ToString() << '\n'
      << "verdict   " << Coloured(verdict, ColourOfState(verdict), context->colour());
  if (const std::string reason = TextOf(Member(answer, "drop_reason")); !reason.empty()) {
    out << " (" << reason << ")";
  }
  out << '\n';
  if (!Member(answer, "service").is_null()) {
    out << "service   " << Shown(Member(answer, "service")) << '\n';
  }
  if (!Member(answer, "slot").is_null()) {
    out << "slot      " << Shown(Member(answer, "slot")) << ", hash "
        << Shown(Member(answer, "hash")) << '\n';
  }
  if (const Json& record = Member(answer, "record"); !record.is_null()) {
    out << "record    " << RecordText(record) << '\n';
  }
  if (const Json& backend = Member(answer, "backend"); !backend.is_null()) {
    out << "backend   " << Shown(backend) << '\n';
  }
  if (const Json& next_hop = Member(answer, "next_hop"); !next_hop.is_null()) {
    out << "next hop  " << NextHopText(next_hop) << '\n';
  }
  out << "why       " << Shown(Member(answer, "why")) << '\n';
}

int Explain(Context* context, const ExplainOptions& options) {
  const Result<Flow> flow = ParseFlow(options);
  if (!flow.ok()) return context->FailUsage(flow.status().message());
  const Result<Json> answer = options.snapshot.empty() ? AskFairleadd(context, *flow)
                                                       : ExplainOffline(options.snapshot, *flow);
  if (!answer.ok()) return context->Fail(answer.status());
  if (!context->PrintJson(*answer)) Print(context, *flow, *answer);
  return kExitOk;
}

}  // namespace

void AddExplainCommand(CLI::App* app, Context* context) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* explain =
      app->add_subcommand("explain", "Show which backend a packet would get, and why");
  CLI::Option* protocol = explain->add_option("protocol", options->protocol, "tcp | udp");
  context->Offer(protocol->required(), ValueKind::kWords, {"tcp", "udp"});
  explain->add_option("source", options->source, "ADDRESS:PORT of the client")->required();
  explain->add_option("destination", options->destination, "ADDRESS:PORT of the frontend")
      ->required();
  CLI::Option* snapshot = explain->add_option(
      "--snapshot", options->snapshot, "use this snapshot image instead of asking fairleadd");
  context->Offer(snapshot, ValueKind::kFiles);
  explain->callback([=] { context->action = [=] { return Explain(context, *options); }; });
}

}  // namespace fairlead::fairctl
