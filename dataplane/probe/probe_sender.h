// The dataplane's part in health probes: takes their packets from the kernel, rewrites each like a
// client's packet to the backend that its source port stands for, and sends it
// (lib/link/probe_ports.h).
//
// Management thread. Workers are not concerned, except that the first one sends the frames.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/pipeline/probe.h"
#include "dataplane/probe/probe_network.h"
#include "lib/link/message.h"
#include "lib/link/probe_ports.h"
#include "lib/link/stats.h"
#include "lib/snapshot/view.h"

namespace fairlead {

// The backends' ids by source port, which the control plane changes. Memory that both processes
// have.
class ProbeTargets {
 public:
  // `fd`: OpenProbesMessage. Does not close it.
  static Result<ProbeTargets> Map(int fd);
  ~ProbeTargets();
  ProbeTargets(ProbeTargets&& other) noexcept;
  ProbeTargets& operator=(ProbeTargets&& other) noexcept;
  ProbeTargets(const ProbeTargets&) = delete;
  ProbeTargets& operator=(const ProbeTargets&) = delete;

  // 0: the port is not a probe's, or has no backend.
  uint32_t BackendOf(uint16_t port) const;

 private:
  explicit ProbeTargets(uint32_t* ids) : ids_(ids) {}
  uint32_t* ids_;
};

class ProbeSender {
 public:
  // False: there is no space for the frame now.
  using SendFrame = std::function<bool(uint16_t port_index, std::span<const uint8_t> frame)>;

  // `own_addresses`: of all ports.
  ProbeSender(std::vector<PortView> ports, std::vector<IpAddress> own_addresses, SendFrame send);

  // Opens the path, or takes new targets if it is open already.
  ProbesMessage Open(int targets_fd);
  bool is_open() const { return network_ != nullptr; }

  // The snapshot whose tables are in force.
  void Follow(const SnapshotView& snapshot);
  // Changes routes of the kernel. Returns the milliseconds until the next call.
  int Step();
  // Call it about once a second: addresses of this host may have moved.
  void Watch();

  // To poll; -1: the path is not open.
  int fd() const { return network_ == nullptr ? -1 : network_->fd(); }
  // Sends the packets that wait, up to a limit. `tables`: in force; null: none.
  void Serve(const ForwardingTables* tables);

  // Any thread.
  ProbeCounts Counts() const;

 private:
  bool Send(const ForwardingTables* tables, uint32_t backend_id, std::span<const uint8_t> packet);

  std::vector<PortView> ports_;
  std::vector<IpAddress> own_addresses_;
  SendFrame send_;
  std::set<IpAddress> frontends_;
  std::vector<IpAddress> followed_;  // the same, in the snapshot's order
  std::optional<ProbeTargets> targets_;
  std::optional<ProbeRewriter> rewriter_;
  std::unique_ptr<ProbeNetwork> network_;
  std::string logged_error_;
  ProbeCounts counts_;
};

}  // namespace fairlead
