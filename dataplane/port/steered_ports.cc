#include "dataplane/port/steered_ports.h"

#include <utility>

#include <spdlog/spdlog.h>

#include "dataplane/device/interface.h"
#include "dataplane/steering/steering_set.h"

namespace fairlead {

SteeredPorts::SteeredPorts(std::span<Port> ports) {
  for (Port& port : ports) {
    if (port.steering) members_.push_back({&port});
  }
}

Status SteeredPorts::Admit(const SnapshotView& snapshot) {
  if (members_.empty()) return {};
  if (const Result<bool> followed = FollowHostAddresses(); !followed.ok()) return followed.status();
  const SteeringSet set = Allowed(SteeringSetOf(snapshot));
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
  const SteeringSet set = in_force == nullptr ? SteeringSet{} : Allowed(SteeringSetOf(*in_force));
  for (const Member& member : members_) {
    const Result<uint32_t> undone = member.port->steering->Restore(set);
    if (!undone.ok()) {
      spdlog::warn("port {}: could not remove steering entries of a refused snapshot: {}",
                   member.port->name, undone.status().message());
    }
  }
}

void SteeredPorts::Release(const SnapshotView& snapshot) {
  if (members_.empty()) return;
  in_force_ = SteeringSetOf(snapshot);
  RemoveOthers(Allowed(in_force_));
  WarnOfOwn();
}

void SteeredPorts::RemoveOthers(const SteeringSet& set) {
  for (const Member& member : members_) {
    const Result<uint32_t> removed = member.port->steering->RemoveOthers(set);
    if (!removed.ok()) {
      spdlog::warn("port {}: could not remove stale steering entries: {}", member.port->name,
                   removed.status().message());
    }
  }
}

void SteeredPorts::Watch() {
  if (members_.empty()) return;
  const Result<bool> followed = FollowHostAddresses();
  if (!followed.ok()) spdlog::warn("{}", followed.status().message());
  if (followed.ok() && (*followed || steer_again_)) {
    const SteeringSet set = Allowed(in_force_);
    bool failed = false;
    for (const Member& member : members_) {
      const Result<uint32_t> added = member.port->steering->Add(set);
      if (added.ok()) continue;
      failed = true;
      if (!steer_again_) spdlog::warn("port {}: {}", member.port->name, added.status().message());
    }
    steer_again_ = failed;
    RemoveOthers(set);
    WarnOfOwn();
  }
  for (Member& member : members_) {
    const bool lost = !member.port->steering->StillAttached();
    if (lost && !member.is_lost) {
      spdlog::error(
          "port {}: the steering program on {} was removed or replaced: the port receives nothing, "
          "the kernel receives all packets; restart the dataplane to attach it again",
          member.port->name, member.port->interface);
    }
    member.is_lost = lost;
  }
}

Result<bool> SteeredPorts::FollowHostAddresses() {
  ASSIGN_OR_RETURN(std::vector<HostAddress> addresses, ReadHostAddresses());
  if (addresses == host_addresses_) return false;
  std::vector<IpAddress> all;
  std::set<IpAddress> own;
  for (const HostAddress& host : addresses) {
    all.push_back(host.address);
    if (!host.on_loopback) own.insert(host.address);
  }
  for (const Member& member : members_) {
    RETURN_IF_ERROR(member.port->steering->SetHostAddresses(all));
    own.insert(member.port->addresses.begin(), member.port->addresses.end());
  }
  host_addresses_ = std::move(addresses);
  return std::exchange(own_, own) != own;
}

SteeringSet SteeredPorts::Allowed(SteeringSet set) const {
  std::erase_if(set.frontends, [this](const IpAddress& each) { return own_.contains(each); });
  return set;
}

void SteeredPorts::WarnOfOwn() {
  std::set<IpAddress> now;
  for (const IpAddress& frontend : in_force_.frontends) {
    if (!own_.contains(frontend) || !now.insert(frontend).second || warned_.contains(frontend)) {
      continue;
    }
    spdlog::warn(
        "frontend {} is an address of this host, so its packets go to the kernel; remove the "
        "address from the interface or the frontend from its service",
        frontend.ToString());
  }
  warned_ = std::move(now);
}

}  // namespace fairlead
