// The ports of this process that share their NIC with the kernel: keeps what their steering programs
// know in step with the snapshot and with the host. Management thread only.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "dataplane/port/port.h"
#include "lib/base/result.h"
#include "lib/snapshot/view.h"

namespace fairlead {

class SteeredPorts {
 public:
  // Borrows those of `ports` that are steered. A port that is not needs nothing here.
  explicit SteeredPorts(std::span<Port> ports);

  // Before tables of that snapshot are in force: what they serve is steered here, beside what the
  // old ones do. A failure is the reason to refuse the snapshot; what was done until then stays
  // until Withdraw.
  Status Admit(const SnapshotView& snapshot);
  // After a failure: steers what `in_force` serves, and nothing else. Null: nothing.
  void Withdraw(const SnapshotView* in_force);
  // After they are: what they do not serve is the kernel's again.
  void Release(const SnapshotView& snapshot);
  // Every second or so: follows the host's addresses, and says once when a program was taken away.
  void Watch();

 private:
  struct Member {
    Port* port;
    bool is_lost = false;
  };
  Status FollowHostAddresses();

  std::vector<Member> members_;
  std::vector<IpAddress> host_addresses_;  // as the programs know them
};

}  // namespace fairlead
