// The controller of this host's own addresses: a frontend on one of them would cut the host off. Tells
// the board which addresses are the host's (its interfaces' and those of the dataplane's ports) and which
// frontends are left out for it. It is the writer of StatusBoard's own addresses. One thread.
#pragma once

#include <memory>

#include "controlplane/core/intent.h"
#include "controlplane/core/status_board.h"
#include "controlplane/observe/neighbours/next_hops.h"

namespace fairlead {

class OwnAddressController {
 public:
  OwnAddressController(const NextHops* next_hops, StatusBoard* board)
      : next_hops_(next_hops), board_(board) {}

  void Reconcile(const IntentView& view);

 private:
  const NextHops* next_hops_;
  StatusBoard* board_;
  IntentView view_ = std::make_shared<Intent>();  // of the last Reconcile()
};

}  // namespace fairlead
