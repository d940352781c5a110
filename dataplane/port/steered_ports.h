// The ports that share their NIC with the kernel. Updates the maps of their steering programs when
// the snapshot or the host's addresses change. Management thread only.
//
// Packets to the host's own addresses go to the kernel, even if a frontend has the same address.
// The control plane refuses such frontends, but an address may be added later, while it does not
// run. Loopback addresses do not count: an operator may announce a frontend with one.
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
  // Keeps pointers to the steered ports, and ignores all others. `ports` must outlive this.
  explicit SteeredPorts(std::span<Port> ports);

  // Adds the snapshot's entries, beside those of the old snapshot. Call it before its tables are in
  // force. If it fails, the snapshot must be refused; entries already added stay until Withdraw.
  Status Admit(const SnapshotView& snapshot);
  // After a refused snapshot: leaves the entries of `in_force` only. Null: none.
  void Withdraw(const SnapshotView* in_force);
  // Removes entries that the snapshot does not need. Call it after its tables are in force.
  void Release(const SnapshotView& snapshot);
  // Call it about once a second. Follows the host's addresses. Logs a removed program once.
  void Watch();

 private:
  struct Member {
    Port* port;
    bool is_lost = false;
  };
  // True if the steering entries may have to change.
  Result<bool> FollowHostAddresses();
  // `set` without frontends on own addresses.
  SteeringSet Allowed(SteeringSet set) const;
  void RemoveOthers(const SteeringSet& set);
  void WarnOfOwn();

  std::vector<Member> members_;
  std::vector<HostAddress> host_addresses_;  // as in the programs' maps
  std::set<IpAddress> own_;  // host addresses not on loopback, and the ports' addresses
  std::set<IpAddress> warned_;
  bool steer_again_ = false;  // the last attempt to add entries failed; Watch retries
  SteeringSet in_force_;      // from the snapshot in force
};

}  // namespace fairlead
