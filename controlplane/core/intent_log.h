// The only place where the intent changes. A change is a mutation of the newest view. The rule book
// validates it, the store makes it durable, and only then it becomes visible. A controller compares
// its last view with View(). `on_change` says that there is a new view.
//
// Changes that arrive while the disk is busy are committed together, each with its own revision. A
// change that the rules or the disk refuse changes nothing.
//
// A slow disk delays only requests that change the intent: the store runs on its own thread. All
// other code here runs on one thread, the executor's.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "controlplane/common/event.h"
#include "controlplane/common/time.h"
#include "controlplane/core/changes.h"
#include "controlplane/core/generation.h"
#include "controlplane/core/history.h"
#include "controlplane/core/resource.h"
#include "controlplane/core/rules.h"
#include "controlplane/core/store_thread.h"

namespace fairlead {

struct Committed {
  uint64_t revision = 0;    // that contains the change
  uint64_t generation = 0;  // the first snapshot that contains it
};

class IntentLog {
 public:
  struct Parts {
    StoreThread* store;
    const Clock* clock;
    RuleBook* rules;
    GenerationCounter* generations;
    std::function<void()> on_change;
    ResourceList resources = BuiltInResources();
    // Called when a change could not be stored, with the reason.
    std::function<void(const Status&)> on_write_failure = {};
  };

  IntentLog(boost::asio::any_io_executor executor, Parts parts);

  // Takes over the stored state. Call before Start().
  Status Load(const StoredState& state);
  void Start();
  void Stop();

  // The newest durable view. Never null.
  const IntentView& View() const { return view_; }
  // False: this store does not contain the change. It is another store, or an older state of this
  // one.
  bool KnowsChange(uint64_t id, uint64_t generation) const {
    return changes_.Knows(id, generation);
  }
  bool ever_configured() const { return view_->revision != 0; }

  // Makes a change. kStaleRevision if the intent is not at `expected_revision`. A mutation that
  // changes nothing makes no new revision.
  boost::asio::awaitable<Result<Committed>> Apply(
      Mutation mutation, Author author, std::optional<uint64_t> expected_revision = std::nullopt);
  // The same for the first content, on the calling thread. Call before Start().
  Status ApplyBeforeStart(const Mutation& mutation, const Author& author);

  // The entries after revision `after`, in order, at most `limit`. kHistoryGone if they are no
  // longer kept, or if `after` is newer than the intent.
  boost::asio::awaitable<Result<std::vector<HistoryEntry>>> History(uint64_t after, size_t limit);

 private:
  struct Request;
  using Requests = std::vector<std::shared_ptr<Request>>;

  // Runs the mutation on `base` and fills the request's draft and view. A request that fails or
  // changes nothing is answered at once.
  void Prepare(Request* request, const IntentView& base);
  Status PrepareDraft(Request* request, const IntentView& base);
  boost::asio::awaitable<void> CommitLoop();
  // Prepares each request on the result of the one before it, and commits them together. False: the
  // disk refused them, and those that were prepared are not answered yet.
  boost::asio::awaitable<bool> CommitTogether(const Requests& requests);
  void MakeVisible(const Requests& requests);
  void Answer(Request* request, Result<Committed> result);
  static Status Write(Store* store, const Requests& requests);
  static Status WriteRows(Store* store, const Requests& requests);

  boost::asio::any_io_executor executor_;
  Parts parts_;
  IntentView view_;
  IdsInUse ids_;
  KnownChanges changes_;
  Event wake_;
  std::deque<std::shared_ptr<Request>> waiting_;
  Requests committing_;
  bool stopped_ = false;
};

}  // namespace fairlead
