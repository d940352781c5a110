// Identifies the datagram that a fragment belongs to.
//
// The identity is that of RFC 791 (source, destination, id, protocol) and RFC 8200, 4.5 (source,
// destination, id). It is laid out as a FlowKey, so that the flow hash can be used. The id takes
// the place of the ports (IPv4: 16 bits). The protocol stays for IPv4. It is 0 for IPv6, since the
// next header of later fragments has no meaning there. FragmentMap hashes these keys under its own
// seed.
//
// Worked packet: IPv4 198.51.100.7 -> 203.0.113.10, id 0x1234, protocol 17:
//   words[0] = 0x0a7100cb'076433c6   addresses as they lie in memory
//   words[1] = 0x00000011'00003412   protocol | id as it lies in memory
#pragma once

#include <cstdint>

#include "lib/net/flow_key.h"
#include "lib/net/parse.h"

namespace fairlead {

// REQUIRES packet.is_fragment and no defect. `key` as ParseFrame filled it for this frame.
FlowKey FragmentKey(const uint8_t* frame, const ParsedPacket& packet, const FlowKey& key);

}  // namespace fairlead
