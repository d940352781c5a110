// The mode table: all that is particular to a forwarding mode, one descriptor for each.
//
// A mode is a line in modes.def and a file of its own here (dsr.cc, ipip.cc, ...) with its
// descriptor: what the intent, the snapshot, the tables and `explain` need to know. What the mode
// does to packets is its row in dataplane/pipeline/rewrite_row.h, since that needs a burst. Nobody
// else asks which mode a service has: they ask what the mode needs.
//
// Worked example: a gue service with second chance. flags allows kServiceSecondChance,
// overhead(IPv4, flags) is 32 + 32, make_template lays out IPv4, UDP and GUE, and slow_flags keeps
// its packets off the fast path, whose headers have a fixed length.
//
// Descriptors are constants. No packet reads them: ForwardingTables keeps what the stages need with
// the service and the backend.
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
inline constexpr uint32_t kCommonServiceFlags = kServiceDropTooBig | kServiceResetNoBackend;

// A setting of a service that not every mode allows: its name in JSON, YAML and messages, and its
// flag in snapshots. 0: gue_port, which is a number of its own there.
struct ModeSetting {
  std::string_view name;
  uint32_t flag;
};
inline constexpr ModeSetting kGuePortSetting = {"gue_port", 0};
inline constexpr std::array kModeSettings = {
    kGuePortSetting, ModeSetting{"gue_checksum", kServiceGueChecksum},
    ModeSetting{"second_chance", kServiceSecondChance}, ModeSetting{"mss_clamp", kServiceMssClamp}};

// What a port in a backend's record means to the mode.
enum class BackendPort : uint8_t {
  kRefused,    // nothing: a snapshot that has one is refused
  kUnused,     // nothing
  kRewritten,  // it becomes the packet's destination port, as the backend's address its destination
};

// Where one packet goes, for `describe`.
struct ModeTarget {
  Endpoint backend;
  uint16_t tunnel_port = 0;  // 0: the mode has none
  uint32_t overhead_bytes = 0;
};

struct ModeDescriptor {
  std::string_view name;  // as people write it
  // The packet's own TTL (hop limit) is one less when it leaves, and 1 is too little. Not in a
  // tunnel.
  bool decrements_ttl = false;
  // Backends answer to the balancer, which gives replies their frontend's address. The service then
  // needs a next hop towards clients and the balancer's own address of each of its families; each
  // (address, protocol, port) of a backend names one frontend (intent/nat_rules.h,
  // table/nat_table.h); and no frontend is for any port.
  bool translates_replies = false;
  BackendPort backend_port = BackendPort::kUnused;
  uint16_t default_port = 0;  // of gue_port, the tunnel's UDP port; 0: the mode has no such setting
  uint32_t flags = 0;         // of ServiceFlags: allowed beside kCommonServiceFlags
  uint32_t slow_flags = 0;    // those of them with which no packet takes the fast path

  // Of tunnels, which carry the packet as it came; else null.
  // Bytes in front of a packet at most, over that family. `flags`: the service's.
  uint32_t (*overhead)(Family outer, uint32_t flags) = nullptr;
  // One backend's outer headers. `settings.kind` is the mode's to set.
  Result<TunnelTemplate> (*make_template)(TunnelSettings settings) = nullptr;
  // The outer source may be spread over a port's ipip_source.
  bool spreads_source = false;

  // What becomes of a packet, for `explain`: " Tunnelled to ...", or nothing. Not null.
  std::string (*describe)(const ModeTarget& target) = nullptr;

  bool is_tunnel() const { return make_template != nullptr; }
  uint32_t OverheadOf(Family outer, uint32_t service_flags) const {
    return overhead == nullptr ? 0 : overhead(outer, service_flags);
  }
  // The packet's destination becomes the backend.
  bool rewrites_destination() const { return backend_port == BackendPort::kRewritten; }
  bool Allows(const ModeSetting& setting) const {
    return setting.flag != 0 ? (flags & setting.flag) != 0 : default_port != 0;
  }
};

// All modes, by number. Defined in mode_list.cc from modes.def; a test program that links its own
// list has more.
std::span<const ModeDescriptor* const> Modes();

// Null: there is no such mode.
const ModeDescriptor* FindMode(uint8_t number);
// REQUIRES a mode that there is: snapshots are checked when they come in.
const ModeDescriptor& ModeOf(ForwardingMode mode);

// "dsr | ipip | gue | nat".
std::string ModeNames();
// The names of those that allow a setting: "gue".
std::string ModeNamesWith(const ModeSetting& setting);

}  // namespace fairlead
