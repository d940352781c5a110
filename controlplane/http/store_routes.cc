// /v1/store/backup: a copy of the store.
#include "controlplane/http/api.h"

namespace fairlead {
namespace asio = boost::asio;

void AddStoreRoutes(Api* api, Router* router) {
  router->Add("GET", "/v1/store/backup", [api](const HttpRequest&) -> asio::awaitable<HttpReply> {
    Result<std::string> copy =
        co_await api->store->Run([](Store* store) { return store->Backup(); });
    if (!copy.ok()) co_return ErrorReply(copy.status());
    HttpReply reply;
    reply.content_type = "application/vnd.sqlite3";
    reply.body = *std::move(copy);
    co_return reply;
  });
}

}  // namespace fairlead
