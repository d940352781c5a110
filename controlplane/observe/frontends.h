// The controller of frontends that no dataplane gets: those on addresses of this host, which would cut
// it off, and those that are not allowed any more (lib/intent/model.h). Tells the board which addresses
// are the host's (its interfaces' and those of the dataplane's ports) and which frontends are left out.
// It is the writer of StatusBoard's own addresses and left-out frontends. One thread.
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
