#include "lib/encap/dsr.h"

#include <cstring>

#include "lib/base/check.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

// TTL and protocol are one 16-bit word of the header: the checksum moves by that word's change.
void DecrementTtl(Ipv4Header* ip) {
  DCHECK(ip->ttl > 1);
  uint16_t from;
  uint16_t to;
  std::memcpy(&from, &ip->ttl, sizeof(from));
  --ip->ttl;
  std::memcpy(&to, &ip->ttl, sizeof(to));
  const uint16_t checksum = ChecksumUpdate16(ip->checksum.raw(), from, to);
  std::memcpy(ip->checksum.bytes, &checksum, sizeof(checksum));
}

}  // namespace

void RewriteDsr(uint8_t* frame, const ParsedPacket& packet, const uint8_t* destination_mac,
                const uint8_t* source_mac) {
  DCHECK(packet.kind == FrameKind::kIpv4 || packet.kind == FrameKind::kIpv6);
  auto* ethernet = reinterpret_cast<EthernetHeader*>(frame);
  std::memcpy(ethernet->destination, destination_mac, sizeof(ethernet->destination));
  std::memcpy(ethernet->source, source_mac, sizeof(ethernet->source));
  uint8_t* l3 = frame + packet.l3_offset;
  if (packet.kind == FrameKind::kIpv4) {
    DecrementTtl(reinterpret_cast<Ipv4Header*>(l3));
  } else {
    auto* ip = reinterpret_cast<Ipv6Header*>(l3);
    DCHECK(ip->hop_limit > 1);
    --ip->hop_limit;
  }
}

}  // namespace fairlead
