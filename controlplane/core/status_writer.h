// Stores observed status for the next start: the health of backends, how their drains ended, and
// the snapshot generation. No code waits for a write. A write that fails is retried until it
// succeeds.
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
  // Notes what changed since the last call, to be written.
  void Reconcile();
  // A change could not be stored. From now on the store is written every second, until that
  // succeeds; error() has the reason meanwhile.
  void OnWriteFailure(const Status& failure);
  // Ends the loop and writes the remaining changes. Called when the process stops.
  boost::asio::awaitable<void> Stop();

  // Why the last write failed, also that of a change; empty if it succeeded.
  const std::string& error() const { return error_; }

 private:
  using Rows = std::vector<std::pair<uint32_t, StoredStatus>>;

  static Status Write(Store* store, const Rows& rows, uint64_t generation);
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
