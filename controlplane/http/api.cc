#include "controlplane/http/api.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace fairlead {

void AddRoutes(Api* api, Router* router) {
  for (const Resource* resource : api->resources) {
    if (resource->add_routes != nullptr) resource->add_routes(api, router);
  }
  AddStoreRoutes(api, router);
  AddStatusRoutes(api, router);
  AddWatchRoutes(api, router);
}

Result<BackendInView> FindRequestBackend(const Api& api, const HttpRequest& request) {
  const std::string& name = request.parameters.at("service");
  const std::string& text = request.parameters.at("backend");
  const IntentView view = api.log->View();
  const Result<Endpoint> endpoint = Endpoint::Parse(text);
  ASSIGN_OR_RETURN(const ServiceIntent* service, FindService(*view, name));
  if (!endpoint.ok()) {
    return InvalidArgument("'" + text + "' is not a backend such as 10.0.0.11 or 10.0.0.11:80");
  }
  ASSIGN_OR_RETURN(const BackendIntent* backend, FindBackend(*view, name, *endpoint));
  return BackendInView{view, service, backend};
}

Result<BackendInView> FindBackendById(const Api& api, const std::string& service, uint32_t id) {
  const IntentView view = api.log->View();
  if (const ServiceIntent* found = view->Find(service); found != nullptr) {
    for (const auto& backend : found->backends) {
      if (backend->id == id) return BackendInView{view, found, backend.get()};
    }
  }
  return NotFound("the backend was removed meanwhile");
}

const BackendStatus& StatusOf(const Api& api, const BackendIntent& backend) {
  static const BackendStatus kNothing;
  const BackendStatus* status = api.board->Find(backend.id);
  return status == nullptr ? kNothing : *status;
}

namespace {

constexpr std::chrono::seconds kLongestPass{2};

// If-Match: "REVISION", or * for any.
Result<std::optional<uint64_t>> ExpectedRevision(const HttpRequest& request) {
  const std::string text = request.header("if-match");
  if (text.empty() || text == "*") return std::optional<uint64_t>();
  uint64_t revision = 0;
  const bool quoted = text.size() > 2 && text.front() == '"' && text.back() == '"';
  const char* const end = text.data() + text.size() - 1;
  const auto parsed = quoted ? std::from_chars(text.data() + 1, end, revision)
                             : std::from_chars_result{text.data(), std::errc::invalid_argument};
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return InvalidArgument("the header If-Match is not a revision in quotes; copy it from an ETag");
  }
  return std::optional<uint64_t>(revision);
}

Result<Author> AuthorOf(const HttpRequest& request) {
  constexpr size_t kLongestOwner = 63;
  Author author(request.peer, request.header("fairlead-owner"));
  const bool is_name =
      author.owner.size() <= kLongestOwner &&
      std::ranges::all_of(author.owner, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
      });
  if (!is_name) {
    return InvalidArgument(
        "the header Fairlead-Owner is not a name of at most 63 letters, digits "
        "and -_./");
  }
  const std::string override_text = request.header("fairlead-override");
  if (!override_text.empty() && override_text != "owner") {
    return InvalidArgument("the header Fairlead-Override has a value other than owner");
  }
  author.override_owner = !override_text.empty();
  if (!author.owner.empty()) author.name = author.owner;
  return author;
}

}  // namespace

boost::asio::awaitable<Result<Committed>> ApplyChange(Api* api, const HttpRequest& request,
                                                      Mutation mutation) {
  const Result<std::optional<uint64_t>> expected = ExpectedRevision(request);
  if (!expected.ok()) co_return expected.status();
  Result<Author> author = AuthorOf(request);
  if (!author.ok()) co_return author.status();
  Result<Committed> applied =
      co_await api->log->Apply(std::move(mutation), *std::move(author), *expected);
  const SteadyTime deadline = SteadyNow() + kLongestPass;
  while (applied.ok() && api->board->revision() < applied->revision) {
    if (!co_await api->reconciler->passed()->Wait(deadline)) break;
  }
  co_return applied;
}

namespace {

// Whether the reply shows a left-out backend or frontend.
bool ShowsLeftOut(const nlohmann::json& json) {
  if (!json.is_object()) return false;
  if (json.contains("left_out_frontends") && !json["left_out_frontends"].empty()) return true;
  if (json.contains("left_out") && !json["left_out"].is_null()) return true;
  return json.contains("backends") && std::ranges::any_of(json["backends"], ShowsLeftOut);
}

}  // namespace

HttpReply ChangeReply(unsigned status, nlohmann::json json, const Committed& applied,
                      bool in_force) {
  in_force = in_force && !ShowsLeftOut(json);
  HttpReply reply;
  reply.status = status;
  if (json.is_object()) {
    json["revision"] = applied.revision;
    json["generation"] = applied.generation;
    json["in_force"] = in_force;
    reply = JsonReply(status, json);
  }
  reply.headers.emplace_back("ETag", "\"" + std::to_string(applied.revision) + "\"");
  reply.headers.emplace_back("Fairlead-Generation", std::to_string(applied.generation));
  reply.headers.emplace_back("Fairlead-In-Force", in_force ? "true" : "false");
  return reply;
}

HttpReply IntentReply(const nlohmann::json& json, const Intent& view) {
  HttpReply reply = JsonReply(200, json);
  reply.headers.emplace_back("ETag", "\"" + std::to_string(view.revision) + "\"");
  return reply;
}

}  // namespace fairlead
