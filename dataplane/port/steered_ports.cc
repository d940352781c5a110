#include "dataplane/port/steered_ports.h"

#include <spdlog/spdlog.h>

#include "dataplane/port/interface.h"
#include "dataplane/steering/steering_set.h"

namespace fairlead {

SteeredPorts::SteeredPorts(std::span<Port> ports) {
  for (Port& port : ports) {
    if (port.steering) members_.push_back({&port});
  }
}

Status SteeredPorts::Admit(const SnapshotView& snapshot) {
  if (members_.empty()) return {};
  RETURN_IF_ERROR(FollowHostAddresses());
  const SteeringSet set = SteeringSetOf(snapshot);
  for (const Member& member : members_) {
    const Result<uint32_t> added = member.port->steering->Add(set);
    if (!added.ok()) {
      return Status(added.status().code(),
                    "port " + member.port->name + ": " + added.status().message());
    }
  }
  return {};
}

void SteeredPorts::Withdraw(const SnapshotView* in_force) {
  if (members_.empty()) return;
  const SteeringSet set = in_force == nullptr ? SteeringSet{} : SteeringSetOf(*in_force);
  for (const Member& member : members_) {
    const Result<uint32_t> undone = member.port->steering->Restore(set);
    if (!undone.ok()) {
      spdlog::warn("port {}: something of a refused snapshot stays steered here: {}",
                   member.port->name, undone.status().message());
    }
  }
}

void SteeredPorts::Release(const SnapshotView& snapshot) {
  if (members_.empty()) return;
  const SteeringSet set = SteeringSetOf(snapshot);
  for (const Member& member : members_) {
    const Result<uint32_t> removed = member.port->steering->RemoveOthers(set);
    if (!removed.ok()) {
      spdlog::warn("port {}: the kernel does not get back all that is no frontend's: {}",
                   member.port->name, removed.status().message());
    }
  }
}

void SteeredPorts::Watch() {
  if (members_.empty()) return;
  const Status followed = FollowHostAddresses();
  if (!followed.ok()) spdlog::warn("{}", followed.message());
  for (Member& member : members_) {
    const bool lost = !member.port->steering->StillAttached();
    if (lost && !member.is_lost) {
      spdlog::error(
          "port {}: somebody has removed or replaced the steering program on {}: it receives "
          "nothing, the kernel everything; restart the dataplane to attach it again",
          member.port->name, member.port->interface);
    }
    member.is_lost = lost;
  }
}

Status SteeredPorts::FollowHostAddresses() {
  ASSIGN_OR_RETURN(std::vector<IpAddress> addresses, ReadHostAddresses());
  if (addresses == host_addresses_) return {};
  for (const Member& member : members_) {
    RETURN_IF_ERROR(member.port->steering->SetHostAddresses(addresses));
  }
  host_addresses_ = std::move(addresses);
  return {};
}

}  // namespace fairlead
