#include <cstring>

#include "dataplane/pipeline/stages.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint64_t kMacMask = 0xffffffffffff;
constexpr uint64_t kGroupBit = 1;  // lowest bit of the first byte, little-endian load

// REQUIRES at least 8 readable bytes at `frame`.
inline uint64_t DestinationMac(const uint8_t* frame) {
  uint64_t bytes;
  std::memcpy(&bytes, frame, sizeof(bytes));
  return bytes & kMacMask;
}

[[gnu::noinline]] bool IsExtraMac(const PortView& port, uint64_t mac) {
  for (uint32_t i = 1; i < port.accepted_count; ++i) {
    if (mac == port.accepted[i]) return true;
  }
  return false;
}

inline bool IsOwnMac(const PortView& port, const uint8_t* frame) {
  const uint64_t mac = DestinationMac(frame);
  return mac == port.accepted[0] || IsExtraMac(port, mac);
}

// Whatever is not common.
[[gnu::noinline]] void ParseOther(const PortView& port, Burst& burst, uint32_t i) {
  const uint8_t* frame = burst.frame[i];
  // A frame too short for an Ethernet header cannot be judged by its MAC; the parser reports it.
  if (burst.linear_length[i] >= sizeof(EthernetHeader) &&
      (DestinationMac(frame) & kGroupBit) == 0 && !IsOwnMac(port, frame)) {
    return burst.Drop(i, DropReason::k_other_mac);
  }
  ParsedPacket& packet = burst.packet[i];
  ParseFrame(frame, burst.linear_length[i], burst.frame_length[i], &packet, &burst.key[i]);
  if (packet.kind == FrameKind::kUnreadable) return burst.Drop(i, packet.defect);
  burst.others |= 1U << i;
}

}  // namespace

void ParseHeaders(PipelineContext& context, Burst& burst) {
  static_assert(sizeof(Verdict) == 1 && sizeof(DropReason) == 1);
  std::memset(burst.verdict, static_cast<int>(Verdict::kPending), sizeof(burst.verdict));
  std::memset(burst.reason, static_cast<int>(DropReason::kNone), sizeof(burst.reason));
  burst.ClearLists();
  // In locals: a byte stored into the burst might be anybody's, and would have all else read again.
  const uint32_t count = burst.count;
  const PortView* const ports = context.ports.data();
  uint32_t ipv6_count = 0;
  uint64_t bytes = 0;
  uint32_t common_count = 0;
  for (uint32_t i = 0; i < count; ++i) {
    bytes += burst.frame_length[i];
    const PortView& port = ports[burst.ingress_port[i]];
    const uint8_t* const frame = burst.frame[i];
    if (ParseCommon(frame, burst.linear_length[i], burst.frame_length[i], &burst.packet[i],
                    &burst.key[i]) &&
        IsOwnMac(port, frame) && !burst.nic_bad_ip_checksum[i]) [[likely]] {
      burst.common[common_count++] = static_cast<uint8_t>(i);
      ipv6_count += burst.key[i].size_bytes / 32;  // 16 or 40
    } else {
      ParseOther(port, burst, i);
    }
  }
  burst.common_count = common_count;
  burst.mostly_ipv6 = ipv6_count * 2 > count;
  Add(&context.counters->totals.rx_packets, burst.count);
  Add(&context.counters->totals.rx_bytes, bytes);
}

}  // namespace fairlead
