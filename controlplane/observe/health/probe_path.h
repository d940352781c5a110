// The control plane's part in health probes through the dataplane (lib/link/probe_ports.h): which
// address and port a probe comes from, and the memory that tells the dataplane for which backend
// each port's packets are.
//
// One thread. Only the memory is shared with the dataplane.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "controlplane/core/status_board.h"
#include "controlplane/observe/health/probe.h"
#include "lib/base/result.h"
#include "lib/host/unique_fd.h"
#include "lib/link/probe_ports.h"

namespace fairlead {

class ProbePath {
 public:
  // This host's addresses as the kernel has them, with their interfaces.
  using HostAddresses = std::function<const std::map<IpAddress, std::string>&()>;

  // `board` must outlive this.
  static Result<std::unique_ptr<ProbePath>> Create(const StatusBoard* board,
                                                   HostAddresses host_addresses);
  ~ProbePath();
  ProbePath(const ProbePath&) = delete;
  ProbePath& operator=(const ProbePath&) = delete;

  // A memfd, sealed, for OpenProbesMessage.
  int targets_fd() const { return targets_fd_.get(); }

  // Why checks of frontends of this family cannot go through the dataplane: "no port of the
  // dataplane has ...". Empty: they can, as far as is known.
  std::string WhyNot(Family family) const;

  // The source port of a probe, until the lease's end. Late packets of a probe that has ended still
  // go to its backend: a port is used again as late as possible.
  class Lease {
   public:
    Lease(Lease&& other) noexcept = default;  // leaves ports_ null
    Lease& operator=(Lease&& other) noexcept {
      std::swap(ports_, other.ports_);
      std::swap(port_, other.port_);
      return *this;
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      if (ports_ != nullptr) ports_->push_back(port_);
    }
    uint16_t port() const { return port_; }

   private:
    friend class ProbePath;
    Lease(std::shared_ptr<std::deque<uint16_t>> ports, uint16_t port)
        : ports_(std::move(ports)), port_(port) {}
    std::shared_ptr<std::deque<uint16_t>> ports_;
    uint16_t port_;
  };
  // nullopt: all ports are in use. The lease may outlive this.
  std::optional<Lease> Take(uint32_t backend_id);

  // The source address of probes to a frontend of this family on a backend: of the addresses that
  // both the dataplane's ports and the kernel have, the one with the longest prefix in common with
  // the backend's (as RFC 6724, 5, rule 8), which is usually on the backend's network. nullopt:
  // there is none (WhyNot).
  std::optional<IpAddress> SourceFor(Family family, const IpAddress& backend) const;

 private:
  ProbePath(const StatusBoard* board, HostAddresses host_addresses, UniqueFd fd, uint32_t* targets);

  const StatusBoard* board_;
  HostAddresses host_addresses_;
  UniqueFd targets_fd_;
  uint32_t* targets_;  // by port
  // The one that has been free for longest comes first. Leases have it, too.
  std::shared_ptr<std::deque<uint16_t>> free_ports_;
};

}  // namespace fairlead
