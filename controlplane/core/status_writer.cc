#include "controlplane/core/status_writer.h"

#include "controlplane/common/log.h"
#include "controlplane/common/time.h"

namespace fairlead {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::milliseconds kRetry{1000};

}  // namespace

StatusWriter::StatusWriter(asio::any_io_executor executor, StoreThread* store,
                           const StatusBoard* board, const GenerationCounter* generations)
    : executor_(executor),
      store_(store),
      board_(board),
      generations_(generations),
      wake_(executor),
      written_generation_(generations->current()) {}

void StatusWriter::Start() {
  SpawnLoop(executor_, "status_writer", [this] { return Loop(); });
}

// Writes at least the digest, so that it fails on a full disk even if there are no rows.
Status StatusWriter::Write(Store* store, const Rows& rows, uint64_t generation) {
  ASSIGN_OR_RETURN(Store::Transaction transaction, store->Begin(Durability::kInMemory));
  for (const auto& [id, status] : rows) RETURN_IF_ERROR(transaction.PutStatus(id, status));
  RETURN_IF_ERROR(transaction.SetGeneration(generation));
  return transaction.Commit();
}

void StatusWriter::Reconcile() {
  const uint64_t next = board_->next_change();
  const bool complete =
      board_->VisitChangesSince(next_change_, [this](const StatusBoard::Change& change) {
        if (change.facet == StatusBoard::Facet::kHealth ||
            change.facet == StatusBoard::Facet::kDrain) {
          unwritten_.insert(change.backend_id);
        }
      });
  if (!complete) board_->VisitBackends([this](uint32_t id) { unwritten_.insert(id); });
  next_change_ = next;
  wake_.Notify();
}

void StatusWriter::OnWriteFailure(const Status& failure) {
  if (error_ != failure.message()) {
    Log(LogLevel::kError, "change_not_stored", {{"reason", failure.message()}});
  }
  error_ = failure.message();
  wake_.Notify();
}

asio::awaitable<void> StatusWriter::WriteOnce() {
  Rows rows;
  rows.reserve(unwritten_.size());
  for (const uint32_t id : unwritten_) {
    const BackendStatus* backend = board_->Find(id);
    if (backend != nullptr) rows.push_back({id, {backend->health, backend->drain}});
  }
  std::unordered_set<uint32_t> writing;
  writing.swap(unwritten_);
  const uint64_t generation = generations_->current();
  const Status written = co_await store_->Run([&rows, generation](Store* store) {
    return store->WithFile(Write(store, rows, generation));
  });
  if (written.ok()) {
    written_generation_ = generation;
    if (!error_.empty()) Log(LogLevel::kInfo, "observations_stored");
  } else {
    unwritten_.merge(writing);
    if (error_ != written.message()) {
      Log(LogLevel::kError, "observations_not_stored", {{"reason", written.message()}});
    }
  }
  error_ = written.message();
}

asio::awaitable<void> StatusWriter::Loop() {
  while (!stopped_) {
    const bool has_work = !unwritten_.empty() || written_generation_ != generations_->current();
    const SteadyTime now = SteadyNow();
    if (!error_.empty()) {
      co_await wake_.Wait(now + kRetry);
    } else if (!has_work) {
      co_await wake_.Wait(now + kLongTime);
      continue;
    }
    if (!stopped_) co_await WriteOnce();
  }
}

asio::awaitable<void> StatusWriter::Stop() {
  stopped_ = true;
  wake_.Notify();
  Reconcile();
  co_await WriteOnce();
}

}  // namespace fairlead
