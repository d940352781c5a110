#include "lib/net/fragment.h"

#include "lib/base/check.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

// ParseFrame has already walked this chain up to l4_offset: the lengths are valid, and there is a
// fragment header.
const Ipv6FragmentHeader& FindFragmentHeader(const uint8_t* frame, const ParsedPacket& packet) {
  const auto& ip = *reinterpret_cast<const Ipv6Header*>(frame + packet.l3_offset);
  uint8_t type = ip.next_header;
  uint32_t at = packet.l3_offset + uint32_t{sizeof(Ipv6Header)};
  while (type != kIpProtoFragment) {
    DCHECK(at + sizeof(Ipv6FragmentHeader) <= packet.l4_offset);
    const uint8_t* header = frame + at;
    at += type == kIpProtoAh ? (uint32_t{header[1]} + 2) * 4 : (uint32_t{header[1]} + 1) * 8;
    type = header[0];
  }
  return *reinterpret_cast<const Ipv6FragmentHeader*>(frame + at);
}

}  // namespace

FlowKey FragmentKey(const uint8_t* frame, const ParsedPacket& packet, const FlowKey& key) {
  DCHECK(packet.is_fragment && packet.defect == DropReason::kNone);
  FlowKey datagram = key;
  if (packet.kind == FrameKind::kIpv4) {
    const auto& ip = *reinterpret_cast<const Ipv4Header*>(frame + packet.l3_offset);
    datagram.words[1] = uint64_t{ip.id.raw()} | uint64_t{ip.protocol} << 32;
  } else {
    datagram.words[4] = FindFragmentHeader(frame, packet).id.raw();
  }
  return datagram;
}

}  // namespace fairlead
