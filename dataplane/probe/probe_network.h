// The kernel's side of health probes: the TUN interface that takes their packets, and the policy
// routing that leads them into it (lib/link/probe_ports.h).
//
//   rule 100   fwmark kProbeMark              -> table 61000: frontends' addresses by fl-probe0,
//                                                all else prohibited
//   rule 101   source port of kProbePorts     -> table 61001: frontends' addresses by the
//                                                interfaces that have the dataplane's addresses
//
// The kernel does not use rule 101 to send: marked packets match rule 100 first. It is for the
// reverse path check (rp_filter) of a backend's answer. Its source is the frontend's address, which
// is not reachable by the interface that it comes from. The kernel looks up the way back with
// source and destination swapped, also the ports, but without the mark.
//
// Packets that do not concern a frontend's address match neither table, so other traffic of this
// host is routed as before. Removed at the end. What a killed process leaves behind is replaced by
// the next one, and concerns no traffic except probes.
//
// Management thread.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "lib/base/result.h"
#include "lib/host/unique_fd.h"
#include "lib/net/address.h"

struct nl_sock;

namespace fairlead {

class ProbeNetwork {
 public:
  static constexpr const char* kInterface = "fl-probe0";

  // Creates the interface and the rules. IPv6 may be missing on this host.
  static Result<std::unique_ptr<ProbeNetwork>> Open();
  ~ProbeNetwork();
  ProbeNetwork(const ProbeNetwork&) = delete;
  ProbeNetwork& operator=(const ProbeNetwork&) = delete;

  // Non-blocking. Readable when a probe's packet waits.
  int fd() const { return tun_.get(); }
  // Reads an IP packet. 0: there is none.
  size_t Read(std::span<uint8_t> room) const;

  // The frontends' addresses, and the interfaces (indexes) by which answers come. Takes effect in
  // Step().
  void Follow(std::set<IpAddress> frontends);
  void FollowInterfaces(std::vector<int> interfaces);
  // Adds again what another program has removed: systemd-networkd removes rules that are not its own
  // when it configures an interface. True: something was missing. Step() sets all routes again then.
  bool Restore();
  // Changes some routes. False: there is more to do. A route that the kernel refuses is not tried
  // again until the frontends or the interfaces change; error() says why.
  bool Step();
  const std::string& error() const { return error_; }

 private:
  struct FreeSocket {
    void operator()(nl_sock* socket) const;
  };
  ProbeNetwork(UniqueFd tun, nl_sock* socket);
  Status SetUpInterface();
  // Sets `added` if something was missing.
  Status AddRules(bool* added);
  void SetRoutes(const IpAddress& address, bool present);

  UniqueFd tun_;
  std::unique_ptr<nl_sock, FreeSocket> socket_;
  int interface_index_ = 0;
  std::set<IpAddress> wanted_;
  std::vector<int> interfaces_;
  std::set<IpAddress> to_change_;  // addresses whose routes Step() sets or removes
  std::string error_;
};

// The interfaces that have one of these addresses, by index, ascending.
std::vector<int> InterfacesWith(std::span<const IpAddress> addresses);

}  // namespace fairlead
