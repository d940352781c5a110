// The controller of next hops: has NextHops follow the addresses of all backends that need one (those
// without a static MAC) and the clients' default routes where nat's replies take them, and brings what
// it finds to the board. It is the writer of StatusBoard's next hops.
//
// One thread.
#pragma once

#include <map>
#include <set>

#include "controlplane/core/intent.h"
#include "controlplane/core/status_board.h"
#include "controlplane/observe/neighbours/next_hops.h"

namespace fairlead {

class NextHopController {
 public:
  NextHopController(NextHops* next_hops, StatusBoard* board);

  // Work for what differs from the view of the last call, and for next hops that changed.
  void Reconcile(const IntentView& view);

 private:
  void FollowFrontends(const IntentDifference& difference);
  void FollowBackend(const BackendIntent* before, const BackendIntent* after);
  void Forget(const BackendIntent& backend);
  void FollowClients(const Intent& intent);

  NextHops* next_hops_;
  StatusBoard* board_;
  IntentView view_;
  std::map<IpAddress, std::set<uint32_t>> backends_;  // ids by address
  std::map<IpAddress, size_t> frontends_;             // how many have the address
};

}  // namespace fairlead
