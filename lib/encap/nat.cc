#include "lib/encap/nat.h"

#include <cstddef>
#include <cstring>

#include "lib/base/check.h"
#include "lib/encap/nat_checksum.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

using nat_internal::Load;
using nat_internal::NatEnd;
using nat_internal::Store;
using nat_internal::UpdateChecksum;
using nat_internal::UpdateUdpChecksum;

// Replaces the address at `field` by that of `endpoint` and returns the change of the sum.
template <size_t kBytes>
uint64_t ReplaceAddress(uint8_t* field, const NatEndpoint& endpoint) {
  uint64_t difference = 0;
  for (size_t i = 0; i < kBytes; i += sizeof(uint32_t)) {
    const auto to = Load<uint32_t>(endpoint.address.data() + i);
    difference += uint64_t{~Load<uint32_t>(field + i)} + to;
    Store(field + i, to);
  }
  return difference;
}

template <NatEnd kEnd>
uint64_t RewriteIpv4(uint8_t* l3, const NatEndpoint& endpoint) {
  auto* ip = reinterpret_cast<Ipv4Header*>(l3);
  DCHECK(ip->ttl > 1);
  const uint64_t address = ReplaceAddress<4>(
      kEnd == NatEnd::kSource ? ip->source.bytes : ip->destination.bytes, endpoint);
  const auto ttl_from = Load<uint16_t>(&ip->ttl);
  --ip->ttl;
  const auto ttl_to = Load<uint16_t>(&ip->ttl);
  UpdateChecksum(ip->checksum.bytes, address + static_cast<uint16_t>(~ttl_from) + ttl_to);
  return address;
}

template <NatEnd kEnd>
uint64_t RewriteIpv6(uint8_t* l3, const NatEndpoint& endpoint) {
  auto* ip = reinterpret_cast<Ipv6Header*>(l3);
  DCHECK(ip->hop_limit > 1);
  --ip->hop_limit;
  return ReplaceAddress<16>(kEnd == NatEnd::kSource ? ip->source : ip->destination, endpoint);
}

template <NatEnd kEnd>
void RewriteNat(uint8_t* frame, const ParsedPacket& packet, const NatEndpoint& endpoint,
                const uint8_t* destination_mac, const uint8_t* source_mac) {
  DCHECK(packet.defect == DropReason::kNone && !packet.has_ah);
  auto* ethernet = reinterpret_cast<EthernetHeader*>(frame);
  std::memcpy(ethernet->destination, destination_mac, sizeof(ethernet->destination));
  std::memcpy(ethernet->source, source_mac, sizeof(ethernet->source));
  uint8_t* l3 = frame + packet.l3_offset;
  uint64_t difference = packet.kind == FrameKind::kIpv4 ? RewriteIpv4<kEnd>(l3, endpoint)
                                                        : RewriteIpv6<kEnd>(l3, endpoint);
  if (packet.later_fragment) return;
  uint8_t* l4 = frame + packet.l4_offset;
  if (endpoint.port != 0) {
    uint8_t* port = l4 + (kEnd == NatEnd::kSource ? offsetof(UdpHeader, source_port)
                                                  : offsetof(UdpHeader, destination_port));
    const uint16_t to = Be16::FromHost(endpoint.port).raw();
    difference += uint64_t{static_cast<uint16_t>(~Load<uint16_t>(port))} + to;
    Store(port, to);
  }
  if (packet.l4_protocol == kIpProtoTcp) {
    UpdateChecksum(l4 + offsetof(TcpHeader, checksum), difference);
  } else {
    DCHECK(packet.l4_protocol == kIpProtoUdp);
    UpdateUdpChecksum(l4 + offsetof(UdpHeader, checksum), difference);
  }
}

constexpr uint8_t kOptionEnd = 0;
constexpr uint8_t kOptionNop = 1;
constexpr uint8_t kOptionMss = 2;
constexpr uint8_t kOptionMssLength = 4;

// Offset of the MSS option's value from the TCP header's start; 0 if there is none.
uint32_t FindMss(const uint8_t* tcp, uint32_t end) {
  uint32_t at = sizeof(TcpHeader);
  while (at < end) {
    const uint8_t kind = tcp[at];
    if (kind == kOptionEnd) return 0;
    if (kind == kOptionNop) {
      ++at;
      continue;
    }
    if (end - at < 2) return 0;
    const uint32_t length = tcp[at + 1];
    if (length < 2 || length > end - at) return 0;
    if (kind == kOptionMss) return length == kOptionMssLength ? at + 2 : 0;
    at += length;
  }
  return 0;
}

}  // namespace

void RewriteNatToBackend(uint8_t* frame, const ParsedPacket& packet, const NatEndpoint& backend,
                         const uint8_t* destination_mac, const uint8_t* source_mac) {
  RewriteNat<NatEnd::kDestination>(frame, packet, backend, destination_mac, source_mac);
}

void RewriteNatToClient(uint8_t* frame, const ParsedPacket& packet, const NatEndpoint& frontend,
                        const uint8_t* destination_mac, const uint8_t* source_mac) {
  RewriteNat<NatEnd::kSource>(frame, packet, frontend, destination_mac, source_mac);
}

bool ClampMss(uint8_t* tcp, uint32_t length, uint16_t max_mss) {
  if (length < sizeof(TcpHeader)) return false;
  auto* header = reinterpret_cast<TcpHeader*>(tcp);
  if ((header->flags & kTcpSyn) == 0) return false;
  const uint32_t header_bytes = uint32_t{header->data_offset} / 16 * 4;
  const uint32_t at = FindMss(tcp, header_bytes < length ? header_bytes : length);
  if (at == 0) return false;
  const uint16_t mss = Be16{{tcp[at], tcp[at + 1]}}.host();
  if (mss <= max_mss) return false;
  auto from = Load<uint16_t>(tcp + at);
  auto to = Be16::FromHost(max_mss).raw();
  Store(tcp + at, to);
  // At an odd offset the two bytes belong to two words of the sum. Swapping them gives the same
  // difference (RFC 1071, 2.B).
  if (at % 2 != 0) {
    from = __builtin_bswap16(from);
    to = __builtin_bswap16(to);
  }
  UpdateChecksum(header->checksum.bytes, uint64_t{static_cast<uint16_t>(~from)} + to);
  return true;
}

}  // namespace fairlead
