#include "controlplane/core/intent_log.h"

#include <algorithm>
#include <new>
#include <random>
#include <utility>

namespace fairlead {
namespace asio = boost::asio;
namespace {

// The most changes in one commit. The last of them waits until all are prepared.
constexpr size_t kMaxChangesPerCommit = 64;

uint64_t RandomId() {
  std::random_device random;
  return (uint64_t{random()} << 32 | random()) | 1;  // not 0
}

}  // namespace

struct IntentLog::Request {
  Request(const asio::any_io_executor& executor, Mutation mutation_in, Author author_in,
          std::optional<uint64_t> expected_in)
      : mutation(std::move(mutation_in)),
        author(std::move(author_in)),
        expected_revision(expected_in),
        answered(executor) {}

  Mutation mutation;
  Author author;
  std::optional<uint64_t> expected_revision;

  // The state of one attempt.
  std::optional<IntentDraft> draft;
  IntentView before;
  IntentView after;
  uint64_t generation = 0;
  HistoryEntry entry;

  // False: the change keeps the revision before it.
  bool is_counted() const { return after->revision != before->revision; }

  std::optional<Result<Committed>> answer;
  Event answered;
};

IntentLog::IntentLog(asio::any_io_executor executor, Parts parts)
    : executor_(executor),
      parts_(std::move(parts)),
      view_(std::make_shared<Intent>()),
      wake_(executor) {}

Status IntentLog::Load(const StoredState& state) {
  auto loaded = std::make_shared<Intent>(state.intent);
  for (const Resource* resource : parts_.resources) {
    if (resource->validate_stored == nullptr) continue;
    if (Status status = resource->validate_stored(parts_.rules, loaded); !status.ok()) {
      return DataLoss("the store contains a setting that this fairleadd refuses: " +
                      status.message());
    }
  }
  view_ = std::move(loaded);
  for (const auto& service : view_->services) {
    ids_.services.insert(service->id);
    for (const auto& backend : service->backends) ids_.backends.insert(backend->id);
  }
  changes_ = state.changes;
  parts_.generations->Raise(state.generation);
  return {};
}

void IntentLog::Start() {
  SpawnLoop(executor_, "commit", [this] { return CommitLoop(); });
}

void IntentLog::Stop() {
  stopped_ = true;
  wake_.Notify();
  for (const auto& request : waiting_) Answer(request.get(), Unavailable("fairleadd is stopping"));
  waiting_.clear();
}

Status IntentLog::PrepareDraft(Request* request, const IntentView& base) {
  if (request->expected_revision.has_value() && *request->expected_revision != base->revision) {
    return Status(ErrorCode::kStaleRevision, "the intent is at revision " +
                                                 std::to_string(base->revision) + ", not " +
                                                 std::to_string(*request->expected_revision) +
                                                 ": it has changed since; read it again");
  }
  const int64_t now_ms = parts_.clock->WallMs();
  IntentDraft& draft = request->draft.emplace(base, base->revision + 1, &ids_);
  RETURN_IF_ERROR(request->mutation(&draft, {*parts_.rules, request->author, now_ms}));
  if (!draft.HasChanged()) {
    request->answer = Committed{base->revision, parts_.generations->current()};
    return {};
  }
  // Setting the seed alone does not configure the store.
  if (base->revision == 0 && draft.OnlySeedDiffers()) {
    draft.KeepRevision();
  } else {
    draft.set_change_id(RandomId());
  }
  request->before = base;
  request->after = draft.Finish();
  for (const Resource* resource : parts_.resources) {
    if (resource->validate == nullptr) continue;
    RETURN_IF_ERROR(resource->validate(parts_.rules, base, request->after));
  }
  request->entry = {request->after->revision, now_ms, request->author.name,
                    DescribeChanges(parts_.resources, *base, *request->after)};
  return {};
}

void IntentLog::Prepare(Request* request, const IntentView& base) {
  request->draft.reset();
  request->after.reset();
  try {
    if (Status status = PrepareDraft(request, base); !status.ok()) {
      Answer(request, std::move(status));
    }
  } catch (const std::bad_alloc&) {
    Answer(request, Unavailable("out of memory: the change was not made"));
  }
  if (request->answer.has_value()) request->answered.Notify();
}

void IntentLog::Answer(Request* request, Result<Committed> result) {
  if (!result.ok() && request->draft.has_value()) request->draft->Abandon();
  request->answer.emplace(std::move(result));
  request->answered.Notify();
}

Status IntentLog::Write(Store* store, const Requests& requests) {
  return store->WithFile(WriteRows(store, requests));
}

Status IntentLog::WriteRows(Store* store, const Requests& requests) {
  ASSIGN_OR_RETURN(Store::Transaction transaction, store->Begin());
  for (const auto& request : requests) {
    RETURN_IF_ERROR(transaction.PutIntent(*request->before, *request->after));
    if (!request->is_counted()) continue;
    RETURN_IF_ERROR(transaction.SetGeneration(request->generation));
    RETURN_IF_ERROR(transaction.AddChange(request->generation, request->after->change_id));
    RETURN_IF_ERROR(transaction.AddHistory(request->entry));
  }
  return transaction.Commit();
}

asio::awaitable<bool> IntentLog::CommitTogether(const Requests& requests) {
  Requests prepared;
  IntentView base = view_;
  for (const auto& request : requests) {
    Prepare(request.get(), base);
    if (request->answer.has_value()) continue;
    base = request->after;
    // The publisher may take generations meanwhile. Then the change is answered with a higher one.
    // The stored number serves only to find changes again (KnownChanges), and to restart above it.
    request->generation = parts_.generations->current() + prepared.size() + 1;
    prepared.push_back(request);
    if (request->is_counted()) changes_.Add(request->generation, request->after->change_id);
  }
  if (prepared.empty()) co_return true;
  const Status written =
      co_await parts_.store->Run([&prepared](Store* store) { return Write(store, prepared); });
  if (written.ok()) {
    MakeVisible(prepared);
    co_return true;
  }
  if (prepared.size() == 1) {
    Answer(prepared.front().get(), written);
    if (parts_.on_write_failure) parts_.on_write_failure(written);
    co_return true;
  }
  for (const auto& request : prepared) request->draft->Abandon();
  co_return false;
}

// The changes are durable. They become visible first: nothing before that may allocate memory.
void IntentLog::MakeVisible(const Requests& requests) {
  const IntentView before = std::exchange(view_, requests.back()->after);
  for (const auto& request : requests) {
    const uint64_t generation =
        request->is_counted() ? parts_.generations->Take() : parts_.generations->current();
    Answer(request.get(), Committed{request->after->revision, generation});
  }
  if (parts_.on_change) parts_.on_change();
  ReleaseIds(*before, *view_, &ids_);
}

asio::awaitable<void> IntentLog::CommitLoop() {
  // SpawnLoop starts this coroutine again after it ran out of memory. Then the requests that it was
  // committing are still unanswered.
  for (const auto& request : std::exchange(committing_, {})) {
    if (!request->answer.has_value()) {
      Answer(request.get(),
             Unavailable("out of memory while the change was committed; check whether "
                         "it was made"));
    }
  }
  while (!stopped_) {
    if (waiting_.empty()) {
      co_await wake_.Wait(SteadyNow() + kLongTime);
      continue;
    }
    const size_t count = std::min(waiting_.size(), kMaxChangesPerCommit);
    committing_.assign(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(count));
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(count));
    if (!co_await CommitTogether(committing_)) {
      // Perhaps only one of them is too large for the disk.
      for (const auto& request : committing_) {
        if (request->answer.has_value()) continue;
        const Requests alone = {request};
        co_await CommitTogether(alone);
      }
    }
    committing_.clear();
  }
}

asio::awaitable<Result<Committed>> IntentLog::Apply(Mutation mutation, Author author,
                                                    std::optional<uint64_t> expected_revision) {
  if (stopped_) co_return Unavailable("fairleadd is stopping");
  const auto request = std::make_shared<Request>(executor_, std::move(mutation), std::move(author),
                                                 expected_revision);
  waiting_.push_back(request);
  wake_.Notify();
  while (!request->answer.has_value()) {
    co_await request->answered.Wait(SteadyNow() + kLongTime);
  }
  co_return *std::move(request->answer);
}

Status IntentLog::ApplyBeforeStart(const Mutation& mutation, const Author& author) {
  const auto request = std::make_shared<Request>(executor_, mutation, author, std::nullopt);
  Prepare(request.get(), view_);
  if (!request->answer.has_value()) {
    request->generation = parts_.generations->current() + 1;
    if (request->is_counted()) changes_.Add(request->generation, request->after->change_id);
    const Status written =
        parts_.store->CallHere([&](Store* store) { return Write(store, {request}); });
    if (!written.ok()) {
      request->draft->Abandon();
      return written;
    }
    MakeVisible({request});
  }
  return request->answer->status();
}

asio::awaitable<Result<std::vector<HistoryEntry>>> IntentLog::History(uint64_t after,
                                                                      size_t limit) {
  const uint64_t newest = view_->revision;
  co_return co_await parts_.store->Run([after, limit,
                                        newest](Store* store) -> Result<std::vector<HistoryEntry>> {
    ASSIGN_OR_RETURN(const uint64_t oldest, store->OldestRevision());
    const bool is_kept = after == newest || (oldest != 0 && after + 1 >= oldest);
    if (!is_kept || after > newest) {
      const std::string kept =
          oldest == 0 ? "is empty"
                      : "has revisions " + std::to_string(oldest) + " to " + std::to_string(newest);
      return Status(ErrorCode::kHistoryGone, "the changes after revision " + std::to_string(after) +
                                                 " are not in the history, which " + kept);
    }
    ASSIGN_OR_RETURN(std::vector<HistoryEntry> entries, store->History(after + 1, limit));
    // Leave out changes that are committed but not visible yet.
    std::erase_if(entries, [&](const HistoryEntry& entry) { return entry.revision > newest; });
    return entries;
  });
}

}  // namespace fairlead
