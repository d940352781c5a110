// A resource that exists only in this file. The file has all that a new resource needs.
#include "controlplane/core/resource.h"

#include <map>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "controlplane/common/log.h"
#include "controlplane/core/row_digest.h"
#include "controlplane/core/store.h"
#include "controlplane/http/api.h"
#include "lib/intent/field_table.h"
#include "lib/intent/json.h"
#include "tests/unit/controlplane/http_client.h"
#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

namespace asio = boost::asio;
using Json = nlohmann::json;
using testing::HasSubstr;

// ---- The resource: texts by name.

struct Note {
  uint16_t priority = 3;
  std::string text;
  friend bool operator==(const Note&, const Note&) = default;
};

using Notes = std::map<std::string, Note>;

Status ReadText(const FieldInfo&, const Json& value, const std::string& path, Note* note) {
  if (!value.is_string()) return RefuseValue(path, value, "is not text");
  note->text = value.get<std::string>();
  return {};
}

Json WriteText(const FieldInfo&, const Note& note) { return note.text; }

constexpr Field<Note> kFields[] = {
    NumberField<&Note::priority>({.name = "priority", .help = "9 is read first", .max = 9}),
    {{.name = "text", .help = "what it says", .values = "text", .is_required = true},
     ReadText,
     WriteText},
};

Json NoteToJson(const Note& note) {
  return WriteFields<Note>(kFields, note, [](const FieldInfo&) { return true; });
}

Result<Note> NoteFromJson(const std::string& text) {
  ASSIGN_OR_RETURN(const Json value, ParseJson(text));
  Note note;
  RETURN_IF_ERROR(ReadFields<Note>(kFields, value, "", "a note", &note));
  return note;
}

struct Difference {
  std::string name;
  const Note* before;
  const Note* after;
};

std::vector<Difference> Differences(const IntentChange& change) {
  std::vector<Difference> differences;
  if (!change.Touches<Notes>()) return differences;
  const Notes& before = change.before.Content<Notes>();
  const Notes& after = change.after.Content<Notes>();
  for (const auto& [name, note] : before) {
    const auto kept = after.find(name);
    if (kept == after.end()) differences.push_back({name, &note, nullptr});
    if (kept != after.end() && kept->second != note) {
      differences.push_back({name, &note, &kept->second});
    }
  }
  for (const auto& [name, note] : after) {
    if (!before.contains(name)) differences.push_back({name, nullptr, &note});
  }
  return differences;
}

constexpr StoreTable kTables[] = {
    {"notes",
     "CREATE TABLE notes (name TEXT PRIMARY KEY, spec TEXT NOT NULL, checksum INTEGER NOT NULL);"}};

int64_t NoteDigest(const std::string& name, const std::string& spec) {
  return RowDigest("note").Add(name).Add(spec).value();
}

Status Save(SqliteDatabase* database, const IntentChange& change) {
  for (const auto& [name, before, after] : Differences(change)) {
    const std::string spec = after == nullptr ? "" : NoteToJson(*after).dump();
    ASSIGN_OR_RETURN(
        SqliteStatement statement,
        database->Prepare(after == nullptr ? "DELETE FROM notes WHERE name = ?"
                                           : "INSERT OR REPLACE INTO notes VALUES (?, ?, ?)"));
    statement.Bind(name);
    if (after != nullptr) statement.Bind(spec).Bind(NoteDigest(name, spec));
    RETURN_IF_ERROR(statement.Run());
  }
  return {};
}

Status Load(SqliteDatabase* database, Intent* intent) {
  auto content = std::make_shared<ContentOf<Notes>>();
  ASSIGN_OR_RETURN(SqliteStatement rows,
                   database->Prepare("SELECT name, spec, checksum FROM notes"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) break;
    const std::string name = rows.Text(0);
    if (rows.Integer(2) != NoteDigest(name, rows.Text(1))) {
      return DamagedStore("checksum of note " + name);
    }
    ASSIGN_OR_RETURN(content->value[name], NoteFromJson(rows.Text(1)));
  }
  intent->contents[typeid(Notes)] = std::move(content);
  return {};
}

void Describe(const IntentChange& change, Json* changes) {
  for (const auto& [name, before, after] : Differences(change)) {
    changes->push_back({{"note", name},
                        {"before", before == nullptr ? Json() : NoteToJson(*before)},
                        {"after", after == nullptr ? Json() : NoteToJson(*after)}});
  }
}

Status Validate(RuleBook*, const IntentView&, const IntentView& after) {
  for (const auto& [name, note] : after->Content<Notes>()) {
    if (after->Find(name) == nullptr) continue;
    return AlreadyExists("note '" + name + "': a service has that name; choose another");
  }
  return {};
}

asio::awaitable<HttpReply> ChangeNote(Api* api, const HttpRequest& request, Json view,
                                      Mutation mutation) {
  const Result<Committed> applied = co_await ApplyChange(api, request, std::move(mutation));
  if (!applied.ok()) co_return ErrorReply(applied.status());
  const bool in_force = co_await api->publisher->WaitInForce(applied->revision, kInForceWait);
  const unsigned status = view.is_null() ? 204 : 200;
  co_return ChangeReply(status, std::move(view), *applied, in_force);
}

asio::awaitable<HttpReply> PutNote(Api* api, const HttpRequest& request) {
  const Result<Note> note = NoteFromJson(request.body);
  if (!note.ok()) co_return ErrorReply(note.status());
  const std::string name = request.parameters.at("note");
  Mutation put = [name, value = *note](IntentDraft* draft, const ChangeContext&) -> Status {
    (*draft->EditContent<Notes>())[name] = value;
    return {};
  };
  Json view = NoteToJson(*note);
  co_return co_await ChangeNote(api, request, std::move(view), std::move(put));
}

asio::awaitable<HttpReply> DeleteNote(Api* api, const HttpRequest& request) {
  const std::string name = request.parameters.at("note");
  Mutation remove = [name](IntentDraft* draft, const ChangeContext&) -> Status {
    if (!draft->Content<Notes>().contains(name)) return NotFound("no note is named '" + name + "'");
    draft->EditContent<Notes>()->erase(name);
    return {};
  };
  co_return co_await ChangeNote(api, request, nullptr, std::move(remove));
}

void AddNoteRoutes(Api* api, Router* router) {
  router->Add("GET", "/v1/notes", [api](const HttpRequest&) -> asio::awaitable<HttpReply> {
    const IntentView view = api->log->View();
    Json notes = Json::object();
    for (const auto& [name, note] : view->Content<Notes>()) notes[name] = NoteToJson(note);
    co_return IntentReply({{"notes", std::move(notes)}}, *view);
  });
  router->Add("PUT", "/v1/notes/{note}",
              [api](const HttpRequest& request) { return PutNote(api, request); });
  router->Add("DELETE", "/v1/notes/{note}",
              [api](const HttpRequest& request) { return DeleteNote(api, request); });
}

constinit const Resource kNotes = {.name = "notes",
                                   .tables = kTables,
                                   .save = Save,
                                   .load = Load,
                                   .describe = Describe,
                                   .validate = Validate,
                                   .add_routes = AddNoteRoutes};

// ---- The tests.

class ResourceTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(ConfigureLog("text", "off").ok());
    const ResourceList built_in = BuiltInResources();
    with_notes_.assign(built_in.begin(), built_in.end());
    with_notes_.push_back(&kNotes);
  }

  Status Start(ResourceList resources) {
    daemon_.reset();
    DaemonOptions options;
    options.socket_path = socket_;
    options.store_path = directory_.File("store.db");
    options.link_path = directory_.File("dataplane.sock");
    options.follow_neighbours = false;
    options.resources = resources;
    daemon_ = std::make_unique<RunningDaemon>(options);
    return daemon_->start_status();
  }
  void StartWithNotes() {
    const Status started = Start(with_notes_);
    ASSERT_TRUE(started.ok()) << started.message();
  }
  Answer Call(const std::string& method, const std::string& target, const std::string& body = {},
              const std::string& header = {}) {
    HttpConnection connection(socket_);
    std::string text = RequestText(method, target, body);
    if (!header.empty()) text.insert(text.find("\r\n") + 2, header + "\r\n");
    connection.Send(text);
    return connection.Receive();
  }
  static std::string Service(const std::string& name) {
    return R"({"frontends": ["203.0.113.10:80/tcp"], "name": ")" + name + R"("})";
  }

  TempDir directory_;
  std::string socket_ = directory_.File("control.sock");
  std::vector<const Resource*> with_notes_;
  std::unique_ptr<RunningDaemon> daemon_;
};

TEST_F(ResourceTest, IsChangedOverHttpOnlyAtTheRevisionThatTheCallerExpects) {
  StartWithNotes();
  const Answer put = Call("PUT", "/v1/notes/hello", R"({"text": "one"})");
  EXPECT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(put.json()["revision"], 1);
  EXPECT_THAT(put.headers, HasSubstr("ETag: \"1\""));
  const Answer stale = Call("PUT", "/v1/notes/hello", R"({"text": "two"})", "If-Match: \"0\"");
  EXPECT_EQ(stale.status, 412);
  EXPECT_EQ(stale.json()["error"]["code"], "stale_revision");
  EXPECT_EQ(Call("PUT", "/v1/notes/hello", R"({"text": "two"})", "If-Match: \"1\"").status, 200);
  const Answer again = Call("PUT", "/v1/notes/hello", R"({"text": "two"})");
  EXPECT_EQ(again.json()["revision"], 2) << "nothing changed, so there is no new revision";
  EXPECT_EQ(Call("GET", "/v1/notes").json()["notes"],
            Json::parse(R"({"hello": {"text": "two", "priority": 3}})"));
  EXPECT_EQ(Call("DELETE", "/v1/notes/hello").status, 204);
  EXPECT_EQ(Call("DELETE", "/v1/notes/hello").status, 404);
  EXPECT_EQ(Call("GET", "/v1/notes").json()["notes"], Json::object());
}

TEST_F(ResourceTest, IsRefusedByItsFieldsAndByItsRule) {
  StartWithNotes();
  const Answer field = Call("PUT", "/v1/notes/a", R"({"text": "x", "priority": 10})");
  EXPECT_EQ(field.status, 400);
  EXPECT_EQ(field.json()["error"]["field"], "priority");
  EXPECT_EQ(field.json()["error"]["message"], "priority: 10 is not within 0..9");
  ASSERT_EQ(Call("POST", "/v1/services", Service("web")).status, 201);
  ASSERT_EQ(Call("PUT", "/v1/notes/dns", R"({"text": "x"})").status, 200);
  // The rule refuses changes of either resource.
  const Answer note = Call("PUT", "/v1/notes/web", R"({"text": "x"})");
  EXPECT_EQ(note.status, 409);
  EXPECT_EQ(note.json()["error"]["message"], "note 'web': a service has that name; choose another");
  EXPECT_EQ(Call("POST", "/v1/services", R"({"frontends": ["203.0.113.11:53/udp"], "name": "dns"})")
                .status,
            409);
  EXPECT_EQ(Call("GET", "/v1/services").json()["services"].size(), 1U);
}

TEST_F(ResourceTest, SurvivesARestartAlsoInAStoreThatLackedItsTable) {
  ASSERT_TRUE(Start(BuiltInResources()).ok());
  ASSERT_EQ(Call("POST", "/v1/services", Service("web")).status, 201);
  StartWithNotes();
  ASSERT_EQ(Call("PUT", "/v1/notes/a", R"({"text": "one", "priority": 9})").status, 200);
  ASSERT_EQ(Call("PUT", "/v1/notes/b", R"({"text": "two"})").status, 200);
  ASSERT_EQ(Call("DELETE", "/v1/notes/b").status, 204);
  StartWithNotes();
  EXPECT_EQ(Call("GET", "/v1/notes").json()["notes"],
            Json::parse(R"({"a": {"text": "one", "priority": 9}})"));
  EXPECT_EQ(Call("GET", "/v1/services").json()["services"].size(), 1U);
}

TEST_F(ResourceTest, IsInTheHistoryAndInTheWatch) {
  StartWithNotes();
  ASSERT_EQ(Call("PUT", "/v1/notes/a", R"({"text": "one"})").status, 200);
  HttpConnection watcher(socket_);
  std::string request = RequestText("GET", "/v1/watch");
  request.insert(request.find("\r\n") + 2, "Fairlead-From: 0\r\n");
  watcher.Send(request);
  // First an event from the history, then one of a new change.
  EXPECT_THAT(
      watcher.ReceiveUntil("\"synced\""),
      HasSubstr(R"("changes":[{"after":{"priority":3,"text":"one"},"before":null,"note":"a"}])"));
  ASSERT_EQ(Call("PUT", "/v1/notes/a", R"({"text": "two"})").status, 200);
  EXPECT_THAT(
      watcher.ReceiveUntil("\"type\":\"intent\""),
      HasSubstr(R"("after":{"priority":3,"text":"two"},"before":{"priority":3,"text":"one"})"));
}

TEST_F(ResourceTest, AMissingRowIsRefused) {
  StartWithNotes();
  ASSERT_EQ(Call("PUT", "/v1/notes/a", R"({"text": "one"})").status, 200);
  daemon_.reset();
  {
    Result<SqliteDatabase> database = SqliteDatabase::Open(directory_.File("store.db"));
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(database->Execute("DELETE FROM notes").ok());
  }
  const Status started = Start(with_notes_);
  EXPECT_EQ(started.code(), ErrorCode::kDataLoss);
  EXPECT_THAT(started.message(), HasSubstr("the digest of all rows"));
}

TEST_F(ResourceTest, IsUnknownToAProgramThatDoesNotListIt) {
  ASSERT_TRUE(Start(BuiltInResources()).ok());
  EXPECT_EQ(Call("GET", "/v1/notes").status, 404);
  StartWithNotes();
  ASSERT_EQ(Call("PUT", "/v1/notes/a", R"({"text": "one"})").status, 200);
  const Status refused = Start(BuiltInResources());
  EXPECT_EQ(refused.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("a table 'notes', which this fairleadd does not know"));
  // A table without rows is accepted.
  StartWithNotes();
  ASSERT_EQ(Call("DELETE", "/v1/notes/a").status, 204);
  EXPECT_TRUE(Start(BuiltInResources()).ok());
}

}  // namespace
}  // namespace fairlead
