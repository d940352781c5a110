// dataplane.yaml: the settings of one host. Parsing is strict: an unknown key, a wrong type or a
// value out of range is an error that names file, line, key and value.
//
//   workers: 2                     # or cores: 2-3 (also "2,4-5"): workers bound to those CPUs
//   idle: adaptive                 # adaptive | busy
//   ports:
//     - name: wan
//       device: af_packet:eth1     # device.h
//       mac: 02:00:00:00:00:01     # or a list: the port's own, then others that the port accepts
//       mtu: 1500
//       addresses: [192.0.2.1]     # the port's own: source of tunnels and of ICMP errors
//       ipip_source: 192.0.2.128/25      # or a list: ipip's source, host bits from the flow hash
//       gateway: 02:00:00:00:00:fe       # next hop to clients, for replies through nat
//       kernel: tap:wan0           # a new interface for the kernel's packets, both directions
//       spread: auto               # auto | hardware | software | off (spread.h)
//       announce: true             # false: do not announce frontends on this port (announcer.h)
//       announce_vlans: [untagged] # or [untagged, 20], or 20: VLANs in which it announces them
//   flow_table: {records: 1048576}
//   limits:                        # per worker
//     replies_per_second: 1000     # echo replies; again as many ARP and neighbour replies
//     icmp_errors_per_second: 1000 # time exceeded, packet too big, port unreachable
//     resets_per_second: 1000      # TCP resets of services with on_no_backend: reset
//     announcements_per_second: 500    # per port, for all workers together
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/device/device.h"
#include "dataplane/device/spread.h"
#include "lib/base/result.h"
#include "lib/net/address.h"
#include "lib/net/announcement.h"

namespace fairlead {

enum class IdleMode : uint8_t { kAdaptive, kBusy };

inline constexpr uint32_t kMaxPorts = 32;
inline constexpr uint32_t kMaxWorkers = 64;
inline constexpr uint16_t kMinMtu = 68;  // RFC 791
// Larger than any NIC's jumbo frames. A buffer's length has 16 bits.
inline constexpr uint16_t kMaxMtu = 16000;
// Frontends are announced in each VLAN, at `announcements_per_second` frames for all together.
inline constexpr uint32_t kMaxAnnounceVlans = 64;
inline constexpr uint64_t kMinFlowRecords = 64;
inline constexpr uint64_t kMaxFlowRecords = uint64_t{1} << 32;

struct PortConfig {
  std::string name;
  DeviceSpec device;
  std::vector<MacAddress> macs;  // the port's own first; empty = the device's
  std::optional<uint16_t> mtu;   // unset = the interface's, else 1500
  std::vector<IpAddress> addresses;
  std::string kernel_tap;                 // interface to create for the kernel's packets; "" = none
  std::vector<Prefix> ipip_sources = {};  // at most one per family
  std::optional<MacAddress> gateway = {};
  bool announce = true;
  // VLANs of announcements and membership reports: distinct, 1 to 4094 or kUntagged.
  std::vector<uint16_t> announce_vlans = {kUntagged};
  SpreadMode spread = SpreadMode::kAuto;
};

struct DataplaneConfig {
  std::optional<uint32_t> workers;  // unset = 1, or one per core of `cores`
  std::vector<uint32_t> cores;      // empty = any CPU that this process may use
  IdleMode idle = IdleMode::kAdaptive;
  std::vector<PortConfig> ports;
  uint64_t flow_records = 1U << 20;
  uint32_t replies_per_second = 1000;
  uint32_t icmp_errors_per_second = 1000;
  uint32_t resets_per_second = 1000;
  uint32_t announcements_per_second = 500;
};

// `source` names the text in messages. Also calls CheckConfig.
Result<DataplaneConfig> ParseConfig(const std::string& text, const std::string& source);

// "2-3", "1,4-5" -> distinct, ascending CPU numbers.
Result<std::vector<uint32_t>> ParseCores(std::string_view text);
Result<IdleMode> ParseIdleMode(std::string_view text);
// "tap:wan0" -> "wan0".
Result<std::string> ParseKernelPath(std::string_view text);

// Checks rules that involve several fields, from the file or the command line: port names, devices
// and MACs are distinct, `workers` and `cores` agree. Several ports may have one IP address, as that
// of the host's loopback interface.
Status CheckConfig(const DataplaneConfig& config);

}  // namespace fairlead
