// The controller of left-out frontends. It leaves out a frontend on an address of this host (which
// would cut the host off), and one that is no longer allowed (lib/intent/model.h). Writes to the
// board the host's addresses (those of its interfaces and of the dataplane's ports) and the
// left-out frontends. It is the writer of both. One thread.
#pragma once

#include <memory>

#include "controlplane/core/intent.h"
#include "controlplane/core/status_board.h"
#include "controlplane/observe/neighbours/next_hops.h"

namespace fairlead {

class FrontendController {
 public:
  FrontendController(const NextHops* next_hops, StatusBoard* board)
      : next_hops_(next_hops), board_(board) {}

  void Reconcile(const IntentView& view);

 private:
  const NextHops* next_hops_;
  StatusBoard* board_;
  IntentView view_ = std::make_shared<Intent>();  // of the last Reconcile()
};

}  // namespace fairlead
