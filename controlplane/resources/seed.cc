// The hash seed of the group of balancers: a number in the store's table meta, and /v1/seed.
#include <random>

#include "controlplane/core/store_rows.h"
#include "controlplane/http/api.h"
#include "controlplane/resources/resources.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

constexpr const char* kKey = "hash_seed";

// A random seed, until an operator sets another one.
Status CreateSeed(SqliteDatabase* database) {
  std::random_device device;
  return PutMeta(database, kKey, (uint64_t{device()} << 32) | device());
}

Status SaveSeed(SqliteDatabase* database, const IntentChange& change) {
  if (change.before.hash_seed == change.after.hash_seed) return {};
  return PutMeta(database, kKey, change.after.hash_seed);
}

Status LoadSeed(SqliteDatabase* database, Intent* intent) {
  ASSIGN_OR_RETURN(intent->hash_seed, LoadMeta(database, kKey));
  return {};
}

void DescribeSeed(const IntentChange& change, Json* changes) {
  const uint64_t before = change.before.hash_seed;
  const uint64_t after = change.after.hash_seed;
  if (before == after) return;
  changes->push_back({{"hash_seed", {{"before", before}, {"after", after}}}});
}

Result<uint64_t> ParseSeed(const std::string& body) {
  ASSIGN_OR_RETURN(const Json json, ParseJson(body));
  if (!json.is_object() || json.size() != 1 || !json.contains("hash_seed")) {
    return InvalidArgument("the body is not {\"hash_seed\": NUMBER}");
  }
  const Json& seed = json["hash_seed"];
  if (!seed.is_number_unsigned() || seed.get<uint64_t>() == 0) {
    return InvalidArgument("hash_seed: " + seed.dump() +
                           " is not a number from 1 to 18446744073709551615");
  }
  return seed.get<uint64_t>();
}

asio::awaitable<HttpReply> PutSeed(Api* api, const HttpRequest& request) {
  const Result<uint64_t> seed = ParseSeed(request.body);
  if (!seed.ok()) co_return ErrorReply(seed.status());
  Json warnings = Json::array();
  if (*seed != api->log->View()->hash_seed && api->log->ever_configured()) {
    warnings.push_back(
        "all slots change: with N equal backends, all but 1/N of a service's flows go to another "
        "backend, and live flows without a record break; set the seed before traffic starts, or "
        "take the balancer out of the group first");
  }
  const Result<Committed> applied = co_await ApplyChange(api, request, SetHashSeed(*seed));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  Json json = {{"hash_seed", *seed}, {"warnings", std::move(warnings)}};
  co_return ChangeReply(200, std::move(json), *applied, in_force);
}

void AddSeedRoutes(Api* api, Router* router) {
  router->Add("GET", "/v1/seed", [api](const HttpRequest&) -> asio::awaitable<HttpReply> {
    const IntentView view = api->log->View();
    co_return IntentReply({{"hash_seed", view->hash_seed}}, *view);
  });
  router->Add("PUT", "/v1/seed",
              [api](const HttpRequest& request) { return PutSeed(api, request); });
}

}  // namespace

constinit const Resource kSeedResource = {.name = "seed",
                                          .create = CreateSeed,
                                          .save = SaveSeed,
                                          .load = LoadSeed,
                                          .describe = DescribeSeed,
                                          .add_routes = AddSeedRoutes};

}  // namespace fairlead
