// Runs the core of the control plane without the daemon, on a store of the test. The status board
// follows each change at once. Open() restarts the core as a new process would.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "controlplane/common/log.h"
#include "controlplane/core/changes.h"
#include "controlplane/core/intent_log.h"
#include "controlplane/core/status_board.h"
#include "controlplane/core/status_writer.h"
#include "controlplane/core/store_thread.h"
#include "controlplane/publish/deriver.h"
#include "lib/snapshot/validator.h"
#include "lib/snapshot/view.h"
#include "tests/unit/controlplane/support.h"

namespace fairlead {

class CoreTest : public testing::Test {
 protected:
  // Its backends are not in the order of their addresses.
  static constexpr const char* kWeb =
      R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
    "backends": [{"address": "10.0.0.2", "mac": "02:00:00:00:00:02"},
                 {"address": "10.0.0.1", "mac": "02:00:00:00:00:01"}]})";

  void SetUp() override {
    ASSERT_TRUE(ConfigureLog("text", "off").ok());
    Open();
  }
  void TearDown() override { Close(); }

  // Starts the core as a new process does.
  virtual void Open() {
    Close();
    context_ = std::make_unique<boost::asio::io_context>();
    Result<std::unique_ptr<Store>> store = Store::Open(directory_.File("store.db"));
    ASSERT_TRUE(store.ok()) << store.status().message();
    const Result<StoredState> state = (*store)->Load();
    ASSERT_TRUE(state.ok()) << state.status().message();
    const auto executor = context_->get_executor();
    store_ = std::make_unique<StoreThread>(executor, *std::move(store));
    generations_ = {};
    board_ = std::make_unique<StatusBoard>(&clock_, [this] { ++changes_; });
    rules_.SetOwnAddresses(&board_->own_addresses());
    log_ = std::make_unique<IntentLog>(
        executor, IntentLog::Parts{store_.get(), &clock_, &rules_, &generations_, nullptr});
    ASSERT_TRUE(log_->Load(*state).ok());
    for (const auto& [id, status] : state->status) board_->Restore(id, status);
    board_->Follow(View());
    services_ = std::make_unique<ServiceStates>(board_.get(), &clock_);
    deriver_ = std::make_unique<SnapshotDeriver>(board_.get(), &clock_, services_.get());
    writer_ = std::make_unique<StatusWriter>(executor, store_.get(), board_.get(), &generations_);
    log_->Start();
  }
  // Ends the core as a kill of the process does.
  virtual void Close() {
    writer_.reset();
    deriver_.reset();
    services_.reset();
    log_.reset();
    board_.reset();
    store_.reset();
    context_.reset();
  }

  IntentView View() const { return log_->View(); }

  // Runs handlers until the change is answered, then passes the new view to the board.
  Result<Committed> Apply(Mutation mutation, Author author = Author("test"),
                          std::optional<uint64_t> expected_revision = std::nullopt) {
    Result<Committed> answer =
        Await(log_->Apply(std::move(mutation), std::move(author), expected_revision));
    board_->Follow(View());
    return answer;
  }

  // Writes the status to the store, as a process that stops does.
  void WriteStatus() {
    Await(Finished(writer_->Stop()));
    EXPECT_EQ(writer_->error(), "");
  }

  // Runs handlers until the coroutine has its result.
  template <typename T>
  T Await(boost::asio::awaitable<T> coroutine) {
    std::optional<T> answer;
    const auto keep = [](boost::asio::awaitable<T> asked,
                         std::optional<T>* result) -> boost::asio::awaitable<void> {
      result->emplace(co_await std::move(asked));
    };
    boost::asio::co_spawn(*context_, keep(std::move(coroutine), &answer), boost::asio::detached);
    EXPECT_TRUE(RunUntil([&] { return answer.has_value(); }));
    return *std::move(answer);
  }
  static boost::asio::awaitable<bool> Finished(boost::asio::awaitable<void> coroutine) {
    co_await std::move(coroutine);
    co_return true;
  }

  // Runs handlers until `done` returns true. Returns false after 20 s.
  template <typename Condition>
  bool RunUntil(Condition&& done) {
    const SteadyTime limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    context_->restart();
    while (!done() && std::chrono::steady_clock::now() < limit) {
      context_->run_one_for(std::chrono::milliseconds(100));
    }
    return done();
  }

  const BackendIntent* Backend(const std::string& service, const std::string& endpoint) const {
    const ServiceIntent* found = View()->Find(service);
    return found == nullptr ? nullptr : found->FindExact(ParseEndpoint(endpoint));
  }
  const BackendStatus& StatusOf(const std::string& service, const std::string& endpoint) const {
    return board_->At(Backend(service, endpoint)->id);
  }
  void SetHealth(const std::string& service, const std::string& endpoint, HealthState state,
                 CheckOutcome outcome = CheckOutcome::kPassed) {
    board_->SetHealth(Backend(service, endpoint)->id, state, {.outcome = outcome});
  }
  // Returns the image of the present state, with generation 0. Fails the test if it is not valid.
  SnapshotImage Derive() {
    deriver_->Update(View());
    deriver_->Assemble(0);
    SnapshotImage image = SnapshotImage::CopyOf(deriver_->image());
    const Status valid = ValidateSnapshot(image.bytes());
    EXPECT_TRUE(valid.ok()) << valid.message();
    return image;
  }
  BackendState PublishedState(const std::string& service, const std::string& endpoint) {
    const SnapshotImage image = Derive();
    const SnapshotView view(image.bytes());
    const Endpoint wanted = ParseEndpoint(endpoint);
    for (const ServiceRecord& each : view.services()) {
      if (view.name_of(each) != service) continue;
      for (const BackendRecord& backend : view.backends_of(each)) {
        if (AddressOf(backend) == wanted.address && backend.port == wanted.port) {
          return static_cast<BackendState>(backend.state);
        }
      }
    }
    ADD_FAILURE() << endpoint << " is not in the snapshot";
    return BackendState::kDown;
  }

  TempDir directory_;
  FakeClock clock_;
  std::unique_ptr<boost::asio::io_context> context_;
  std::unique_ptr<StoreThread> store_;
  GenerationCounter generations_;
  RuleBook rules_;
  std::unique_ptr<StatusBoard> board_;
  std::unique_ptr<IntentLog> log_;
  std::unique_ptr<ServiceStates> services_;
  std::unique_ptr<SnapshotDeriver> deriver_;
  std::unique_ptr<StatusWriter> writer_;
  int changes_ = 0;  // of the board
};

}  // namespace fairlead
