// The one place where the intent changes. A change is a mutation of the newest view: judged by the
// rule book, durable on the disk, and only then visible. Whoever follows the intent compares the view
// that it has with View(); `on_change` says that there is a new one.
//
// Changes that come while the disk is busy are committed together, each with a revision of its own. A
// change that is refused, or that the disk refuses, changes nothing.
//
// A disk that takes its time holds up those who change the intent, and nobody else: the store works on
// a thread of its own. All else here is one thread's, the executor's.
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

struct Applied {
  uint64_t revision = 0;    // that holds the change
  uint64_t generation = 0;  // snapshots from this one on hold it
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
  };

  IntentLog(boost::asio::any_io_executor executor, Parts parts);

  // Takes up what was stored. Before Start().
  Status Load(const StoredState& state);
  void Start();
  void Stop();

  // The newest durable one. Never null.
  const IntentView& View() const { return view_; }
  // False: the change was not made in this store, or in a later state of it.
  bool KnowsChange(uint64_t id, uint64_t generation) const {
    return changes_.Knows(id, generation);
  }
  bool ever_configured() const { return view_->revision != 0; }

  // Makes a change. `expected_revision`: kStaleRevision when the intent is at another one. A mutation
  // that changes nothing makes no revision.
  boost::asio::awaitable<Result<Applied>> Apply(
      Mutation mutation, Author author, std::optional<uint64_t> expected_revision = std::nullopt);
  // The same for the first content, on the calling thread. Before Start().
  Status ApplyHere(const Mutation& mutation, const Author& author);

  // What came after revision `after`: entries in their order, at most `limit`. kHistoryGone when that
  // is not kept any more, or `after` is yet to come.
  boost::asio::awaitable<Result<std::vector<HistoryEntry>>> History(uint64_t after, size_t limit);

 private:
  struct Request;
  using Requests = std::vector<std::shared_ptr<Request>>;

  // Runs the mutation on `base` and fills the request's draft and view; a request that fails, or
  // changes nothing, has its answer.
  void Prepare(Request* request, const IntentView& base);
  Status PrepareDraft(Request* request, const IntentView& base);
  boost::asio::awaitable<void> CommitLoop();
  // Prepares the requests one upon the other and commits them together. False: the disk refused them,
  // and nothing is answered yet.
  boost::asio::awaitable<bool> CommitTogether(const Requests& requests);
  void MakeVisible(const Requests& requests);
  void Answer(Request* request, Result<Applied> result);
  static Status Write(Store* store, const Requests& requests);

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
