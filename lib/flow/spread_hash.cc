#include "lib/flow/spread_hash.h"

#include "lib/flow/flow_hash_inline.h"
#include "lib/net/parse.h"

namespace fairlead {

uint32_t SpreadHash(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                    uint64_t seed) {
  ParsedPacket packet;
  FlowKey key;
  ParseFrame(frame, linear_length, frame_length, &packet, &key);
  if (packet.kind != FrameKind::kIpv4 && packet.kind != FrameKind::kIpv6) return 0;
  if (packet.is_fragment) [[unlikely]] {
    // Only the first fragment has ports, and a later IPv6 one may name another protocol.
    key.words[key.family() == Family::kIpv4 ? 1 : 4] = 0;
  }
  return static_cast<uint32_t>(HashFlowInline(key, seed).low >> 32);
}

}  // namespace fairlead
