#include <cstring>

#include "dataplane/pipeline/drop.h"
#include "dataplane/pipeline/stages.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint32_t kNoPort = 0xffffffff;

// The destination MAC as the upper 48 bits of a number. REQUIRES 8 readable bytes.
inline uint64_t DestinationMac(const uint8_t* frame) {
  uint64_t bytes;
  std::memcpy(&bytes, frame, sizeof(bytes));
  return bytes << 16;
}

inline bool IsGroup(const uint8_t* frame) { return (frame[0] & 1) != 0; }

bool IsOwnMac(const PortView& port, uint64_t mac) {
  for (uint32_t i = 0; i < port.accepted_count; ++i) {
    if (mac == port.accepted[i] << 16) return true;
  }
  return false;
}

// Parses a packet that is not common, or not to the port's first MAC address.
[[gnu::noinline]] void ParseOther(PipelineContext& context, Burst& burst, uint32_t i) {
  burst.service[i] = kNoService;
  const uint8_t* frame = burst.frame[i];
  const PortView& port = context.ports[burst.ingress_port[i]];
  // A frame that is too short for an Ethernet header has no MAC to check. The parser reports it.
  if (burst.linear_length[i] >= sizeof(EthernetHeader) && !IsGroup(frame) &&
      !IsOwnMac(port, DestinationMac(frame))) {
    return DropPacket(context, burst, i, DropReason::k_other_mac);
  }
  ParsedPacket& packet = burst.packet[i];
  ParseFrame(frame, burst.linear_length[i], burst.frame_length[i], &packet, &burst.key[i]);
  if (packet.kind == FrameKind::kUnreadable) return DropPacket(context, burst, i, packet.defect);
  burst.others |= 1U << i;
  burst.any_ipv6 |= packet.kind == FrameKind::kIpv6;
}

void CountReceived(WorkerCounters* counters, const Burst& burst) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < burst.count; ++i) bytes += burst.frame_length[i];
  Add(&counters->totals.rx_packets, burst.count);
  Add(&counters->totals.rx_bytes, bytes);
}

bool AnyBadIpChecksum(const Burst& burst) {
  static_assert(sizeof(burst.nic_bad_ip_checksum) == kMaxBurst && kMaxBurst % 8 == 0);
  uint64_t any = 0;
  for (uint32_t i = 0; i < kMaxBurst; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, &burst.nic_bad_ip_checksum[i], sizeof(eight));
    any |= eight;
  }
  return any != 0;
}

// Moves packets with a bad IP checksum from `common` to `others`.
[[gnu::noinline]] void MoveBadIpChecksums(Burst& burst) {
  burst.common.KeepIf([&](uint32_t i) {
    if (burst.nic_bad_ip_checksum[i]) burst.others |= 1U << i;
    return !burst.nic_bad_ip_checksum[i];
  });
}

}  // namespace

void ParseHeaders(PipelineContext& context, Burst& burst) {
  static_assert(sizeof(Verdict) == 1 && sizeof(DropReason) == 1);
  std::memset(burst.verdict, static_cast<int>(Verdict::kPending), sizeof(burst.verdict));
  std::memset(burst.reason, static_cast<int>(DropReason::kNone), sizeof(burst.reason));
  burst.ClearLists();
  CountReceived(context.counters, burst);
  // Copies in locals. A byte store into the burst may alias anything, so the compiler would reload
  // these values after it.
  const uint32_t count = burst.count;
  const PortView* const ports = context.ports.data();
  const NextBurst next_burst = context.next_burst;
  uint32_t ipv6_count = 0;
  uint32_t common_count = 0;
  // Most packets of a burst have the same ingress port.
  uint32_t known_port = kNoPort;
  uint64_t own_mac = 0;
  for (uint32_t i = 0; i < count; ++i) {
    next_burst.PrefetchBuffer(i);
    const uint32_t port = burst.ingress_port[i];
    if (port != known_port) [[unlikely]] {
      known_port = port;
      own_mac = ports[port].accepted[0] << 16;
    }
    const uint8_t* const frame = burst.frame[i];
    // Parses before it checks the MAC, which is nearly always ours.
    if (ParseCommonUnicast(frame, burst.linear_length[i], burst.frame_length[i], &burst.packet[i],
                           &burst.key[i]) &&
        DestinationMac(frame) == own_mac) [[likely]] {
      burst.common.place[common_count++] = static_cast<uint8_t>(i);
      ipv6_count += burst.key[i].size_bytes / 32;  // 16 or 40
    } else {
      ParseOther(context, burst, i);
    }
  }
  burst.common.count = common_count;
  burst.any_ipv6 |= ipv6_count != 0;
  context.hints.mostly_ipv6 = ipv6_count * 2 > count;
  if (AnyBadIpChecksum(burst)) [[unlikely]]
    MoveBadIpChecksums(burst);
}

}  // namespace fairlead
