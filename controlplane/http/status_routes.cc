// /v1/status, /v1/stats, /v1/explain and /metrics
#include <algorithm>

#include "controlplane/core/status_text.h"
#include "controlplane/http/api.h"
#include "controlplane/http/metrics.h"
#include "controlplane/http/views.h"
#include "lib/intent/json.h"
#include "lib/table/explain.h"
#include "lib/table/explain_json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

// The dataplane's management thread may answer late: it builds tables, or its CPU is busy. Must be
// well below fairctl's own timeout of ten seconds.
constexpr std::chrono::milliseconds kFindFlowTimeout{2000};

Result<Endpoint> ParseEnd(const Json& json, const char* name) {
  const std::string what(name);
  if (!json.contains(name)) return InvalidArgument(what + ": missing");
  Result<Endpoint> end = json[name].is_string() ? Endpoint::Parse(json[name].get<std::string>())
                                                : InvalidArgument("not text");
  if (!end.ok() || end->port == 0) {
    return InvalidArgument(what +
                           ": is not an address with a port, such as 198.51.100.7:40000 or "
                           "[2001:db8::7]:40000");
  }
  return end;
}

Result<FlowKey> ParseFlow(const std::string& body) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(body));
  if (!json.is_object()) return InvalidArgument("the body is not an object");
  for (const auto& [name, value] : json.items()) {
    if (name != "protocol" && name != "source" && name != "destination") {
      return InvalidArgument(
          "the body has an unknown field; a flow has protocol, source, destination");
    }
  }
  if (!json.contains("protocol")) return InvalidArgument("protocol: missing");
  const Result<Protocol> protocol = json["protocol"].is_string()
                                        ? ParseProtocol(json["protocol"].get<std::string>())
                                        : InvalidArgument("not text");
  if (!protocol.ok()) return InvalidArgument("protocol: is neither tcp nor udp");
  ASSIGN_OR_RETURN(const Endpoint source, ParseEnd(json, "source"));
  ASSIGN_OR_RETURN(const Endpoint destination, ParseEnd(json, "destination"));
  if (source.address.family() != destination.address.family()) {
    return InvalidArgument("source: is of another address family than destination");
  }
  return FlowKey::Make(source.address, source.port, destination.address, destination.port,
                       static_cast<uint8_t>(*protocol));
}

// Whether the packets of `key` would go to the left-out frontend. An address of this host is left
// out with all its ports.
bool IsFor(const LeftOutFrontend& left_out, const FlowKey& key) {
  const Frontend& frontend = left_out.frontend;
  if (frontend.address != key.destination()) return false;
  return left_out.reason == FrontendLeftOutReason::kOwnAddress ||
         (static_cast<uint8_t>(frontend.protocol) == key.protocol() &&
          frontend.HasPort(key.destination_port()));
}

// Whether a frontend has exactly this port. Such a frontend takes precedence over any range.
bool HasExact(const SnapshotView& view, const FlowKey& key) {
  return std::ranges::any_of(view.frontends(), [&](const FrontendRecord& record) {
    const Frontend frontend = FrontendOf(record);
    return frontend.address == key.destination() && frontend.port == key.destination_port() &&
           !frontend.is_range() && static_cast<uint8_t>(frontend.protocol) == key.protocol();
  });
}

// Tells if the packet cannot leave because the link of its port is down.
void AddLinkState(const DataplaneStatus& dataplane, Json* json) {
  const Json& next_hop = (*json)["next_hop"];
  if ((*json)["verdict"] != "forward" || !next_hop.is_object()) return;
  const PortLink* link = dataplane.LinkOf(next_hop.value("interface", ""));
  if (link == nullptr || link->is_up) return;
  (*json)["why"] = (*json)["why"].get<std::string>() + " The packet cannot leave now: port " +
                   link->port + " has no link.";
}

// The last image stays with fairleadd when the dataplane goes away.
void AddDataplaneState(bool connected, Json* json) {
  if (connected || (*json)["verdict"] != "forward") return;
  (*json)["why"] = (*json)["why"].get<std::string>() +
                   " No dataplane is connected, so probably no packet is forwarded now.";
}

asio::awaitable<HttpReply> Explain(Api* api, const HttpRequest& request) {
  const Result<FlowKey> key = ParseFlow(request.body);
  if (!key.ok()) co_return ErrorReply(key.status());
  api->publisher->RefreshImage();
  if (api->publisher->image().empty()) {
    co_return ErrorReply(FailedPrecondition("no service was ever configured; add one first"));
  }
  // A copy, because the image may change while this waits for the dataplane.
  const SnapshotImage image = SnapshotImage::CopyOf(api->publisher->image());
  const SnapshotView view(image.bytes());
  const Result<Explainer> explainer = Explainer::Make(view, *key, api->board->left_out());
  if (!explainer.ok()) co_return ErrorReply(explainer.status());
  std::optional<ExplainRecord> record;
  std::optional<ExplainSlot> slot;
  const std::optional<RecordKey> record_key = explainer->record_key();
  if (record_key.has_value() && api->publisher->link().connected()) {
    const Result<FlowMessage> flow = co_await api->publisher->link().FindFlow(
        {record_key->tag, record_key->buckets, explainer->service_id()}, kFindFlowTimeout);
    if (!flow.ok()) co_return ErrorReply(flow.status());
    if (flow->found) record = ExplainRecord{flow->backend_id, flow->age_ms, flow->flags};
    if (flow->slot_known) {
      slot = ExplainSlot{static_cast<SlotState>(flow->slot_state & 3), flow->current_id,
                         flow->stable_id};
    }
  }
  Json json = ExplanationToJson(explainer->Explain(record, slot));
  api->board->VisitLeftOutFrontends([&](const LeftOutFrontend& each) {
    if (!IsFor(each, *key)) return;
    const std::string text = "Frontend " + each.frontend.ToString() + " of service " +
                             each.service + " is left out: it " + LeftOutFrontendText(each) + ".";
    if (json["service"].is_null()) {
      json["why"] = text;
    } else if (each.reason == FrontendLeftOutReason::kOlderDataplane && !HasExact(view, *key)) {
      // A wider frontend gets the packet.
      json["why"] = json["why"].get<std::string>() + " " + text;
    }
  });
  AddLinkState(api->board->dataplane(), &json);
  AddDataplaneState(api->publisher->link().connected(), &json);
  json["generation"] = view.header().generation;
  json["in_force"] = api->publisher->in_force_generation() == view.header().generation;
  co_return JsonReply(200, json);
}

}  // namespace

void AddStatusRoutes(Api* api, Router* router) {
  router->Add("GET", "/v1/status", [api](const HttpRequest&) -> asio::awaitable<HttpReply> {
    co_return JsonReply(200, StatusView(*api));
  });
  router->Add("GET", "/v1/stats", [api](const HttpRequest&) -> asio::awaitable<HttpReply> {
    co_return JsonReply(200, StatsView(*api));
  });
  router->Add("POST", "/v1/explain",
              [api](const HttpRequest& request) { return Explain(api, request); });
  router->Add("GET", "/metrics", [api](const HttpRequest&) -> asio::awaitable<HttpReply> {
    HttpReply reply;
    reply.content_type = "text/plain; version=0.0.4";
    reply.body = MetricsText(*api);
    co_return reply;
  });
}

}  // namespace fairlead
