// Stores what was observed, so that a restart finds it: the health of backends, how their drains
// ended, and the snapshot generation. Nobody waits for it: what cannot be written now is kept, and
// written when that is possible again.
//
// One thread (the executor's).
#pragma once

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "controlplane/common/event.h"
#include "controlplane/core/generation.h"
#include "controlplane/core/status_board.h"
#include "controlplane/core/store_thread.h"

namespace fairlead {

class StatusWriter {
 public:
  StatusWriter(boost::asio::any_io_executor executor, StoreThread* store, const StatusBoard* board,
               const GenerationCounter* generations);

  void Start();
  // Takes up what changed since the last call.
  void Reconcile();
  // Ends the loop, and writes what is left. For a process that stops.
  boost::asio::awaitable<void> Stop();

  // Why what was observed is not in the store; empty when it is.
  const std::string& error() const { return error_; }

 private:
  using Rows = std::vector<std::pair<uint32_t, StoredStatus>>;

  boost::asio::awaitable<void> Loop();
  boost::asio::awaitable<void> WriteOnce();

  boost::asio::any_io_executor executor_;
  StoreThread* store_;
  const StatusBoard* board_;
  const GenerationCounter* generations_;
  Event wake_;
  std::unordered_set<uint32_t> unwritten_;  // backends whose status differs from the store's
  uint64_t next_change_ = 1;
  uint64_t written_generation_ = 0;
  std::string error_;
  bool stopped_ = false;
};

}  // namespace fairlead
