// The controller of next hops. Makes NextHops follow the addresses of all backends without a static
// MAC, and the default routes if nat's replies need them. Writes the next hops to the board. It is
// the writer of StatusBoard's next hops.
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

  // The cost depends on the differences from the view of the last call, and on changed next hops.
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
  std::map<IpAddress, size_t> frontends_;             // number of frontends with the address
};

}  // namespace fairlead
