#include <cstring>

#include "dataplane/pipeline/stages.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr uint64_t kMacMask = 0xffffffffffff;
constexpr uint64_t kGroupBit = 1;  // lowest bit of the first byte, little-endian load

// REQUIRES at least 8 readable bytes at `frame`.
inline bool IsOurs(const PortView& port, const uint8_t* frame) {
  uint64_t destination;
  std::memcpy(&destination, frame, sizeof(destination));
  destination &= kMacMask;
  if (destination == port.accepted[0] || (destination & kGroupBit) != 0) return true;
  for (uint32_t i = 1; i < port.accepted_count; ++i) {
    if (destination == port.accepted[i]) return true;
  }
  return false;
}

}  // namespace

void ParseHeaders(PipelineContext& context, Burst& burst) {
  for (uint32_t i = 0; i < burst.count; ++i) __builtin_prefetch(burst.frame[i]);

  uint64_t bytes = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    bytes += burst.frame_length[i];
    burst.verdict[i] = Verdict::kPending;
    burst.reason[i] = DropReason::kNone;
    // A frame too short for an Ethernet header cannot be judged by its MAC; the parser reports it.
    if (burst.linear_length[i] >= sizeof(EthernetHeader) &&
        !IsOurs(context.ports[burst.ingress_port[i]], burst.frame[i])) {
      burst.Drop(i, DropReason::k_other_mac);
      continue;
    }
    ParsedPacket& packet = burst.packet[i];
    ParseFrame(burst.frame[i], burst.linear_length[i], burst.frame_length[i], &packet,
               &burst.key[i]);
    if (packet.kind == FrameKind::kUnreadable) burst.Drop(i, packet.defect);
  }
  Add(&context.counters->totals.rx_packets, burst.count);
  Add(&context.counters->totals.rx_bytes, bytes);
}

}  // namespace fairlead
