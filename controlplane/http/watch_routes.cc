// /v1/watch: changes of intent and status as they happen, one JSON object per line. docs/api.md
// describes the lines.
//
// Lines are made only when the reader is ready for them. Changes of the intent come from the
// history. A backend's status is its status at that time, however often it changed before. So a
// slow reader needs no memory beyond its connection. If the history no longer contains the next
// change, the reader is told to start again. If the board no longer remembers the changes, the
// status of all backends is sent.
#include <algorithm>
#include <charconv>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "controlplane/common/time.h"
#include "controlplane/http/api.h"
#include "controlplane/http/views.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

using Json = nlohmann::json;

constexpr size_t kMostWatchers = 64;
constexpr std::chrono::seconds kAlivePeriod{10};
constexpr size_t kEntriesAtOnce = 100;
constexpr size_t kBackendsAtOnce = 500;

std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// One reader, and what has been sent to it.
class Watch {
 public:
  Watch(Api* api, uint64_t revision) : api_(api), revision_(revision) { ++api_->watchers; }
  ~Watch() { --api_->watchers; }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  asio::awaitable<std::optional<std::string>> Next() {
    if (ended_) co_return std::nullopt;
    SteadyTime alive_at = SteadyNow() + kAlivePeriod;
    for (;;) {
      if (api_->stopping) co_return std::nullopt;
      std::string lines;
      co_await AppendIntent(&lines);
      if (!ended_) AppendStatus(&lines);
      if (!lines.empty()) co_return lines;
      const SteadyTime now = SteadyNow();
      if (now >= alive_at) co_return Line({{"type", "alive"}, {"revision", revision_}});
      (void)co_await api_->reconciler->passed()->Wait(alive_at);
    }
  }

 private:
  asio::awaitable<void> AppendIntent(std::string* lines);
  void AppendStatus(std::string* lines);
  void AppendBackends(std::string* lines);
  void AppendDataplane(std::string* lines);
  void AppendPorts(const std::vector<PortLink>& before, std::string* lines);
  void CollectChanges();
  // The reader has missed changes that are no longer in the history.
  void AppendRestart(const std::string& message, std::string* lines) {
    *lines += Line({{"type", "restart"}, {"message", message}});
    ended_ = true;
  }

  Api* api_;
  uint64_t revision_;         // the last one sent
  uint64_t next_change_ = 0;  // of the board; 0: no status was sent yet
  bool synced_ = false;
  bool ended_ = false;
  std::set<uint32_t> waiting_;                // backends whose status is to be sent
  std::optional<DataplaneStatus> dataplane_;  // without links
  std::vector<PortLink> links_;
};

asio::awaitable<void> Watch::AppendIntent(std::string* lines) {
  if (api_->log->View()->revision == revision_) co_return;
  const Result<std::vector<HistoryEntry>> entries =
      co_await api_->log->History(revision_, kEntriesAtOnce);
  if (!entries.ok()) {
    AppendRestart(entries.status().message(), lines);
    co_return;
  }
  for (const HistoryEntry& entry : *entries) {
    const Result<Json> changes = ParseJson(entry.changes);
    *lines += Line({{"type", "intent"},
                    {"revision", entry.revision},
                    {"at", FormatRfc3339(entry.at_ms)},
                    {"author", entry.author},
                    {"changes", changes.ok() ? *changes : Json::array()}});
    revision_ = entry.revision;
  }
}

void Watch::AppendStatus(std::string* lines) {
  AppendDataplane(lines);
  CollectChanges();
  AppendBackends(lines);
  if (synced_ || !waiting_.empty()) return;
  synced_ = true;
  *lines += Line({{"type", "synced"}, {"revision", revision_}});
}

// Adds the changed backends to waiting_. Adds all backends the first time, and when the board no
// longer remembers what changed.
void Watch::CollectChanges() {
  const uint64_t next = api_->board->next_change();
  const bool complete =
      next_change_ != 0 &&
      api_->board->VisitChangesSince(next_change_, [this](const StatusBoard::Change& change) {
        if (change.facet != StatusBoard::Facet::kRemoved) waiting_.insert(change.backend_id);
      });
  if (!complete) {
    api_->board->VisitBackends([this](uint32_t id) { waiting_.insert(id); });
  }
  next_change_ = next;
}

void Watch::AppendBackends(std::string* lines) {
  size_t sent = 0;
  const IntentView view = api_->log->View();
  while (!waiting_.empty() && sent++ < kBackendsAtOnce) {
    const uint32_t id = *waiting_.begin();
    waiting_.erase(waiting_.begin());
    const BackendStatus* status = api_->board->Find(id);
    const ServiceIntent* service = status == nullptr ? nullptr : view->Find(status->service);
    const BackendIntent* backend =
        service == nullptr ? nullptr : service->FindExact(status->endpoint);
    if (backend == nullptr || backend->id != id) continue;  // its removal is an intent line
    Json json = BackendView(*api_, *service, *backend);
    for (const char* counter : {"packets", "bytes", "flows", "new_flows", "pins"}) {
      json.erase(counter);
    }
    *lines +=
        Line({{"type", "status"}, {"service", service->name()}, {"backend", std::move(json)}});
  }
}

void Watch::AppendDataplane(std::string* lines) {
  DataplaneStatus dataplane = api_->board->dataplane();
  const std::vector<PortLink> links = std::exchange(dataplane.links, {});
  if (dataplane_ != dataplane) {
    dataplane_ = std::move(dataplane);
    *lines += Line({{"type", "dataplane"},
                    {"connected", dataplane_->connected},
                    {"generation", dataplane_->in_force_generation},
                    {"revision", dataplane_->in_force_revision}});
  }
  AppendPorts(std::exchange(links_, links), lines);
}

// Sends the links that are not in `before`.
void Watch::AppendPorts(const std::vector<PortLink>& before, std::string* lines) {
  for (const PortLink& link : links_) {
    if (std::ranges::find(before, link) != before.end()) continue;
    Json json = PortLinkJson(link);
    json["type"] = "port";
    *lines += Line(json);
  }
}

// The header Fairlead-From, the last revision that the reader knows. Without it: the present
// revision.
Result<uint64_t> FromRevision(const HttpRequest& request, uint64_t present) {
  const std::string text = request.header("fairlead-from");
  if (text.empty()) return present;
  uint64_t revision = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, revision);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return InvalidArgument("the header Fairlead-From is not a revision, such as 42");
  }
  return revision;
}

// The error reply. For kHistoryGone it contains the oldest revision that is kept.
asio::awaitable<HttpReply> HistoryGone(Api* api, Status status) {
  HttpReply reply = ErrorReply(status);
  if (status.code() != ErrorCode::kHistoryGone) co_return reply;
  const Result<uint64_t> oldest =
      co_await api->store->Run([](Store* store) { return store->OldestRevision(); });
  Json error = {{"code", ErrorCodeName(status.code())}, {"message", status.message()}};
  error["oldest_revision"] = oldest.ok() ? *oldest : 0;
  co_return JsonReply(reply.status, {{"error", std::move(error)}});
}

asio::awaitable<HttpReply> StartWatch(Api* api, const HttpRequest& request) {
  const Result<uint64_t> from = FromRevision(request, api->log->View()->revision);
  if (!from.ok()) co_return ErrorReply(from.status());
  if (api->watchers >= kMostWatchers) {
    co_return ErrorReply(Unavailable("there are " + std::to_string(kMostWatchers) +
                                     " watchers already; end one of them"));
  }
  // Check that the history still contains the changes after it.
  const auto entries = co_await api->log->History(*from, 1);
  if (!entries.ok()) co_return co_await HistoryGone(api, entries.status());
  const auto watch = std::make_shared<Watch>(api, *from);
  HttpReply reply;
  reply.content_type = "application/x-ndjson";
  reply.headers.emplace_back("ETag", "\"" + std::to_string(*from) + "\"");
  reply.stream = [watch] { return watch->Next(); };
  co_return reply;
}

}  // namespace

void AddWatchRoutes(Api* api, Router* router) {
  router->Add("GET", "/v1/watch",
              [api](const HttpRequest& request) { return StartWatch(api, request); });
}

}  // namespace fairlead
