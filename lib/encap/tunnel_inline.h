// The per-packet part of tunnel.h, to be inlined into the rewrite stage. A call, its arguments and
// the reloads after it would cost a fifth of the time for a tunnelled packet (2026-11,
// bench/pipeline.cc v4/ipip/none/hot against dsr).
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>

#include "lib/base/check.h"
#include "lib/encap/ethernet_macs.h"
#include "lib/encap/tunnel.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace tunnel_internal {

static_assert(std::endian::native == std::endian::little);

inline constexpr uint32_t kGueBaseBytes = 4;

template <typename T>
inline T Load(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

template <typename T>
inline void Store(uint8_t* bytes, T value) {
  std::memcpy(bytes, &value, sizeof(value));
}

// The fields of the inner packet that the outer headers depend on.
struct Inner {
  uint8_t traffic_class;  // DSCP and ECN
  uint8_t protocol;       // the protocol number of IP inside IP: 4 or 41
  uint32_t length;        // bytes after the outer headers, including GUE data
};

inline Inner ReadInner(const uint8_t* l3, const ParsedPacket& packet) {
  if (packet.kind == FrameKind::kIpv4) return {l3[1], kIpProtoIpIp, packet.l3_length};
  const auto traffic_class = static_cast<uint8_t>(l3[0] << 4 | l3[1] >> 4);
  return {traffic_class, kIpProtoIpv6, packet.l3_length};
}

inline void PatchIpv4(const TunnelTemplate& tunnel, const Inner& inner, uint8_t protocol,
                      uint64_t entropy, uint8_t* outer) {
  const auto total = static_cast<uint16_t>(tunnel.overhead_bytes + inner.length);
  const uint16_t total_raw = __builtin_bswap16(total);
  const auto host_bits = static_cast<uint32_t>(entropy & tunnel.source_mask);
  outer[1] = inner.traffic_class;
  Store(outer + offsetof(Ipv4Header, total_length), total_raw);
  outer[offsetof(Ipv4Header, protocol)] = protocol;
  Store(outer + offsetof(Ipv4Header, source),
        Load<uint32_t>(tunnel.header + offsetof(Ipv4Header, source)) | host_bits);
  // A sum of at most seven 16-bit words: folding twice is enough.
  const uint32_t sum = uint32_t{tunnel.fixed_sum} + (uint32_t{inner.traffic_class} << 8) +
                       total_raw + (uint32_t{protocol} << 8) + (host_bits & 0xffff) +
                       (host_bits >> 16);
  const uint32_t once = (sum & 0xffff) + (sum >> 16);
  Store(outer + offsetof(Ipv4Header, checksum), static_cast<uint16_t>(~(once + (once >> 16))));
}

inline void PatchIpv6(const TunnelTemplate& tunnel, const Inner& inner, uint8_t protocol,
                      uint64_t entropy, uint8_t* outer) {
  constexpr size_t kSourceLow = offsetof(Ipv6Header, source) + 8;
  const auto label = static_cast<uint32_t>(entropy >> 44);
  const uint32_t word = uint32_t{6} << 28 | uint32_t{inner.traffic_class} << 20 |
                        (label | static_cast<uint32_t>(label == 0));
  const uint32_t payload = tunnel.overhead_bytes + inner.length - uint32_t{sizeof(Ipv6Header)};
  Store(outer, __builtin_bswap32(word));
  Store(outer + offsetof(Ipv6Header, payload_length),
        __builtin_bswap16(static_cast<uint16_t>(payload)));
  outer[offsetof(Ipv6Header, next_header)] = protocol;
  Store(outer + kSourceLow,
        Load<uint64_t>(tunnel.header + kSourceLow) | (entropy & tunnel.source_mask));
}

inline void PatchGue(const Inner& inner, uint32_t data_bytes, uint64_t entropy, uint8_t* udp) {
  const auto port = static_cast<uint16_t>(kGueFirstSourcePort | (entropy >> 50));
  const auto length = static_cast<uint16_t>(sizeof(UdpHeader) + kGueBaseBytes + inner.length);
  Store(udp, __builtin_bswap16(port));
  Store(udp + offsetof(UdpHeader, length), __builtin_bswap16(length));
  udp[sizeof(UdpHeader)] = static_cast<uint8_t>(data_bytes / 4);
  udp[sizeof(UdpHeader) + 1] = inner.protocol;
}

// Every size is a constant, so the copy is two to four vector moves.
template <TunnelKind kKind, Family kFamily>
[[gnu::always_inline]] inline void WriteOuter(const TunnelTemplate& tunnel, const Inner& inner,
                                              uint32_t data_bytes, uint64_t entropy,
                                              uint8_t* outer) {
  constexpr uint32_t kOverhead = TunnelOverhead(kKind, kFamily);
  std::memcpy(outer, tunnel.header, kOverhead);
  const uint8_t protocol = kKind == TunnelKind::kGue ? uint8_t{kIpProtoUdp} : inner.protocol;
  if constexpr (kFamily == Family::kIpv4) {
    PatchIpv4(tunnel, inner, protocol, entropy, outer);
  } else {
    PatchIpv6(tunnel, inner, protocol, entropy, outer);
  }
  if constexpr (kKind == TunnelKind::kGue) {
    PatchGue(inner, data_bytes, entropy, outer + TunnelOverhead(TunnelKind::kIpip, kFamily));
  }
}

}  // namespace tunnel_internal

// Encapsulate for the common case: untagged, enough headroom for the overhead, and no data after
// the GUE header. The MACs are as for WriteMacs. REQUIRES a tunnel of that kind and outer family.
template <TunnelKind kKind, Family kFamily>
[[gnu::always_inline]] inline void EncapsulateUntagged(const TunnelTemplate& tunnel, uint8_t* frame,
                                                       const ParsedPacket& packet, uint64_t entropy,
                                                       const uint8_t* destination_mac,
                                                       const SourceMac& source) {
  DCHECK(packet.l3_offset == sizeof(EthernetHeader));
  DCHECK(tunnel.overhead_bytes == TunnelOverhead(kKind, kFamily));
  uint8_t* const l3 = frame + sizeof(EthernetHeader);
  uint8_t* const outer = l3 - TunnelOverhead(kKind, kFamily);
  const tunnel_internal::Inner inner = tunnel_internal::ReadInner(l3, packet);
  tunnel_internal::WriteOuter<kKind, kFamily>(tunnel, inner, 0, entropy, outer);
  WriteMacs(outer - sizeof(EthernetHeader), destination_mac, source);
  constexpr uint16_t kEtherType = kFamily == Family::kIpv4 ? kEtherTypeIpv4 : kEtherTypeIpv6;
  tunnel_internal::Store(outer - 2, __builtin_bswap16(kEtherType));
}

}  // namespace fairlead
