// The ports of this process that share their NIC with the kernel: keeps what their steering programs
// know in step with the snapshot and with the host. Management thread only.
//
// What is sent to an address of the host itself stays the kernel's, also when a frontend has it: the
// control plane refuses such frontends, but an address may be added later, while it is away. Addresses
// of the loopback interface are no obstacle: an operator may announce a frontend by one.
#pragma once

#include <set>
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
  // True: what is steered may have to change with them.
  Result<bool> FollowHostAddresses();
  // Without the frontends on own addresses.
  SteeringSet Allowed(SteeringSet set) const;
  void RemoveOthers(const SteeringSet& set);
  void WarnOfOwn();

  std::vector<Member> members_;
  std::vector<HostAddress> host_addresses_;  // as the programs know them
  std::set<IpAddress> own_;                  // of these, those not on loopback; and of the ports
  std::set<IpAddress> warned_;
  bool steer_again_ = false;  // something could not be steered that may be
  SteeringSet in_force_;      // as the snapshot in force asks for
};

}  // namespace fairlead
