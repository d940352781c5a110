// The mode table: one descriptor for each forwarding mode, with everything that differs between
// modes.
//
// A mode is a line in modes.def and a file here (dsr.cc, ipip.cc, ...) with its descriptor: what
// the intent, the snapshot, the tables and `explain` need to know. What the mode does to packets is
// its row in dataplane/pipeline/rewrite_row.h, since that needs a burst. Other code does not test
// which mode a service has; it reads the descriptor's fields.
//
// Worked example: a gue service with second chance. `flags` allows kServiceSecondChance,
// overhead(IPv4, flags) is 32 + 32, make_template makes IPv4, UDP and GUE headers, and slow_flags
// excludes its packets from the fast path, whose headers have a fixed length.
//
// Descriptors are constants. The packet path does not read them: ForwardingTables copies what the
// stages need to the service and the backend.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lib/base/result.h"
#include "lib/encap/tunnel.h"
#include "lib/mode/forwarding_mode.h"
#include "lib/net/address.h"

namespace fairlead {

// The flags that every mode allows.
inline constexpr uint32_t kCommonServiceFlags =
    kServiceDropTooBig | kServiceResetNoBackend | kServiceFollowHandshakes;

// A setting of a service that not every mode allows: its name in JSON, YAML and messages, and its
// flag in snapshots. Flag 0: gue_port, which has its own field in snapshots.
struct ModeSetting {
  std::string_view name;
  uint32_t flag;
};
inline constexpr ModeSetting kGuePortSetting = {"gue_port", 0};
inline constexpr std::array kModeSettings = {
    kGuePortSetting, ModeSetting{"gue_checksum", kServiceGueChecksum},
    ModeSetting{"second_chance", kServiceSecondChance}, ModeSetting{"mss_clamp", kServiceMssClamp}};

// What the mode does with a port in a backend's record.
enum class BackendPort : uint8_t {
  kRefused,    // a snapshot with such a port is refused
  kUnused,     // the port is ignored
  kRewritten,  // backend's address and port become the packet's destination
};

// Where one packet goes, for `describe`.
struct ModeTarget {
  Endpoint backend;
  uint16_t tunnel_port = 0;  // 0: the mode has none
  uint32_t overhead_bytes = 0;
};

struct ModeDescriptor {
  std::string_view name;  // in JSON, YAML and commands
  // The packet's own TTL or hop limit is decremented, so it must be above 1. False for tunnels.
  bool decrements_ttl = false;
  // Backends answer to the balancer, which gives replies their frontend's address. The service then
  // needs a next hop towards clients, and an own address of the balancer for each of its families.
  // Each (address, protocol, port) of a backend belongs to one frontend (intent/nat_rules.h,
  // table/nat_table.h). A new frontend must not be for any port.
  bool translates_replies = false;
  BackendPort backend_port = BackendPort::kUnused;
  // The default of the setting gue_port, the tunnel's UDP port. 0: the mode has no such setting.
  uint16_t default_gue_port = 0;
  // The backend must be a direct neighbour of the balancer: a packet keeps the frontend's address as
  // its destination, so only the frame's MAC leads it to the backend, and a gateway would return it.
  bool needs_on_link = false;
  // A backend answers with the frontend's address to any host, so health checks may go through the
  // dataplane: the dataplane rewrites packets of this host like a client's.
  bool checks_through_dataplane = false;
  uint32_t allowed_flags = 0;  // ServiceFlags that it allows beside kCommonServiceFlags
  uint32_t slow_flags = 0;     // those of them that exclude a service from the fast path

  // The next two are set for tunnels, else null.
  // The largest number of bytes added in front of a packet, over that outer family. `flags`: the
  // service's.
  uint32_t (*overhead)(Family outer, uint32_t flags) = nullptr;
  // Makes one backend's outer headers. The function sets `settings.kind`.
  Result<TunnelTemplate> (*make_template)(TunnelSettings settings) = nullptr;
  // The outer source may vary within a port's ipip_source.
  bool spreads_source = false;

  // Describes what happens to a packet, for `explain`: " Tunnelled to ...", or "". Not null.
  std::string (*describe)(const ModeTarget& target) = nullptr;

  bool is_tunnel() const { return make_template != nullptr; }
  uint32_t OverheadOf(Family outer, uint32_t service_flags) const {
    return overhead == nullptr ? 0 : overhead(outer, service_flags);
  }
  // The packet's destination address becomes the backend's.
  bool rewrites_destination() const { return backend_port == BackendPort::kRewritten; }
  bool Allows(const ModeSetting& setting) const {
    return setting.flag != 0 ? (allowed_flags & setting.flag) != 0 : default_gue_port != 0;
  }
};

// All modes, by number. mode_list.cc makes the list from modes.def. A test program may link a
// longer list.
std::span<const ModeDescriptor* const> Modes();

// Null: no mode has this number.
const ModeDescriptor* FindMode(uint8_t number);
// REQUIRES a mode that exists. Snapshots are checked when they are received.
const ModeDescriptor& ModeOf(ForwardingMode mode);

// "dsr | ipip | gue | nat".
std::string ModeNames();
// The names of those that allow a setting: "gue".
std::string ModeNamesWith(const ModeSetting& setting);
// The names of those whose backends may be behind a gateway: "ipip, gue or nat".
std::string RoutedModeNames();

}  // namespace fairlead
