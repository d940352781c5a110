// /v1/seed: the group's hash seed.
#include "controlplane/http/api.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

Result<uint64_t> ParseSeed(const std::string& body) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(body));
  if (!json.is_object() || json.size() != 1 || !json.contains("hash_seed")) {
    return InvalidArgument("the body is not {\"hash_seed\": NUMBER}");
  }
  const Json& seed = json["hash_seed"];
  if (!seed.is_number_unsigned() || seed.get<uint64_t>() == 0) {
    return InvalidArgument("hash_seed: is not a number from 1 to 18446744073709551615");
  }
  return seed.get<uint64_t>();
}

asio::awaitable<HttpReply> PutSeed(Api* api, const HttpRequest& request) {
  const Result<uint64_t> seed = ParseSeed(request.body);
  if (!seed.ok()) co_return ErrorReply(seed.status());
  Json warnings = Json::array();
  if (*seed != api->log->View()->hash_seed && api->log->ever_configured()) {
    warnings.push_back(
        "all slots change: of a service with N equal backends all but one in N of the flows fall "
        "to another one, and those that live break, but for recorded ones; set the seed before "
        "traffic comes, or take the balancer out of the group first");
  }
  const Result<Applied> applied = co_await ApplyChange(api, request, SetHashSeed(*seed));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  Json json = {{"hash_seed", *seed}, {"warnings", std::move(warnings)}};
  co_return ChangeReply(200, std::move(json), *applied, in_force);
}

}  // namespace

void AddSeedRoutes(Api* api, Router* router) {
  router->Add("GET", "/v1/seed", [api](const HttpRequest&) -> asio::awaitable<HttpReply> {
    const IntentView view = api->log->View();
    co_return IntentReply({{"hash_seed", view->hash_seed}}, *view);
  });
  router->Add("PUT", "/v1/seed",
              [api](const HttpRequest& request) { return PutSeed(api, request); });
}

}  // namespace fairlead
