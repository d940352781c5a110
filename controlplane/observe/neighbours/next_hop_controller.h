// The controller of next hops. Makes NextHops follow the addresses of all backends without a static
// MAC, and the default routes if nat's replies need them. Writes the next hops to the board. A
// backend that its mode needs on-link (ModeDescriptor::needs_on_link) gets none, and is left out,
// while its route leads through a gateway, as when a VLAN interface is gone and only the default
// route is left. It is the writer of StatusBoard's next hops and of SetBehindGateway().
//
// One thread.
#pragma once

#include <map>

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
  // A backend whose next hop the kernel knows.
  struct Followed {
    const ModeDescriptor* mode = nullptr;  // of its service
    bool behind_gateway = false;           // and therefore left out; logged
  };

  void FollowFrontends(const IntentDifference& difference);
  void FollowBackend(const ModeDescriptor& mode, const BackendIntent* before,
                     const BackendIntent* after);
  void Forget(const BackendIntent& backend);
  // Writes the backend's next hop, or that it is left out, and logs if a gateway is why.
  void SetNextHop(const IpAddress& address, uint32_t id, Followed* backend);
  void FollowClients(const Intent& intent);

  NextHops* next_hops_;
  StatusBoard* board_;
  IntentView view_;
  std::map<IpAddress, std::map<uint32_t, Followed>> backends_;  // by address and id
  std::map<IpAddress, size_t> frontends_;  // number of frontends with the address
};

}  // namespace fairlead
