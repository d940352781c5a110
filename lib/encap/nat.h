// Destination NAT without per-flow state. In a request the destination becomes the backend. In a
// reply the source becomes the frontend again. The client's address and port stay, so both
// directions are functions of the packet and of one table row.
//
// Theory of operation. Only addresses, one port, TTL and checksums change. Checksums are updated by
// the difference of the changed words (RFC 1624), so a correct one stays correct and a wrong one
// stays wrong. A UDP checksum of zero over IPv4 means none and stays zero. A computed zero is sent
// as 0xffff (RFC 768). A later fragment has no L4 header, so only its addresses change. The
// checksum in the first fragment covers the pseudo header of the whole datagram and changes by all
// differences.
//
// Worked packet: 198.51.100.7:40000 -> 203.0.113.10:80, backend 10.0.0.11:8080, TCP in IPv4.
//   frame 26..29  c6336407            source, kept
//         30..33  cb00710a -> 0a00000b
//         36..37  0050 -> 1f90        destination port
//         22      TTL minus one
//         24..25  IPv4 checksum: by the destination and the TTL word
//         50..51  TCP checksum: by the destination and the port
//   The reply's source 10.0.0.11:8080 becomes 203.0.113.10:80 in the same way.
//
// IPv6 extension headers are skipped (l4_offset). With a routing header the final destination is in
// the IPv6 header, since the parser accepts only segments left 0. AH covers the addresses, so the
// caller drops packets with AH.
//
// Pure functions of the packet; any worker.
#pragma once

#include <array>
#include <cstdint>

#include "lib/net/address.h"
#include "lib/net/parse.h"

namespace fairlead {

// The new address and port of a packet.
struct NatEndpoint {
  std::array<uint8_t, 16> address{};  // wire order, as IpAddress::bytes; the packet's family
  uint16_t port = 0;                  // host order; 0: the packet's port does not change

  static NatEndpoint Make(const IpAddress& address, uint16_t port) {
    return {address.bytes(), port};
  }
};

// Forward (request): the destination becomes the backend. Reverse (reply): the source becomes the
// frontend. Both set the Ethernet addresses (6 bytes each, not in `frame`) and decrement TTL or hop
// limit. REQUIRES a TCP or UDP packet, or a later fragment of any protocol, without defect and
// without AH; TTL or hop limit above 1; and a contiguous L4 header.
void RewriteNatToBackend(uint8_t* frame, const ParsedPacket& packet, const NatEndpoint& backend,
                         const uint8_t* destination_mac, const uint8_t* source_mac);
void RewriteNatToClient(uint8_t* frame, const ParsedPacket& packet, const NatEndpoint& frontend,
                        const uint8_t* destination_mac, const uint8_t* source_mac);

// The largest TCP segment that fits an IP packet of `mtu` bytes without IP or TCP options
// (RFC 6691); 0 if none does.
constexpr uint16_t MssFor(uint32_t mtu, Family family) {
  const uint32_t headers = family == Family::kIpv4 ? 40 : 60;
  const uint32_t mss = mtu > headers ? mtu - headers : 0;
  return static_cast<uint16_t>(mss < 65535 ? mss : 65535);
}

// Lowers the MSS option (RFC 9293, 3.2) of a SYN or SYN-ACK to `max_mss` and updates the checksum.
// Never raises or adds it. `tcp`: the TCP header, of which `length` bytes are contiguous. Options
// are read only within data offset and `length`, and up to the first one with an invalid length.
// True if something changed.
bool ClampMss(uint8_t* tcp, uint32_t length, uint16_t max_mss);

}  // namespace fairlead
