// Steps at egress that packets to backends and packets to clients share.
#pragma once

#include <cstdint>
#include <cstring>

#include "dataplane/pipeline/burst.h"
#include "lib/net/headers.h"

namespace fairlead {

// Moves the start of frame `i` by `bytes`. Negative: the frame grows at its front.
inline void MoveStart(Burst& burst, uint32_t i, int bytes) {
  burst.frame[i] += bytes;
  burst.linear_length[i] -= static_cast<uint32_t>(bytes);
  burst.frame_length[i] -= static_cast<uint32_t>(bytes);
  burst.headroom[i] = static_cast<uint16_t>(burst.headroom[i] + bytes);
  burst.packet[i].l3_offset = static_cast<uint16_t>(burst.packet[i].l3_offset - bytes);
  burst.packet[i].l4_offset = static_cast<uint16_t>(burst.packet[i].l4_offset - bytes);
}

// Replaces all tags of the packet by one 802.1Q tag with this VLAN. Keeps the priority of the outer
// tag. The caller writes the MAC addresses. False if the packet has no tag and less than 4 bytes of
// headroom.
inline bool ReplaceTags(Burst& burst, uint32_t i, uint16_t vlan) {
  constexpr uint16_t kVlanIdMask = 0x0fff;
  constexpr uint32_t kTwoMacs = 12;  // bytes: destination and source address
  ParsedPacket& packet = burst.packet[i];
  uint16_t priority = 0;
  if (packet.vlan_count > 0) {
    const auto* outer = reinterpret_cast<const VlanTag*>(burst.frame[i] + kTwoMacs + 2);
    priority = static_cast<uint16_t>(outer->tci.host() & ~kVlanIdMask);
  }
  const int surplus = (packet.vlan_count - 1) * static_cast<int>(sizeof(VlanTag));
  if (surplus < 0 && burst.headroom[i] < sizeof(VlanTag)) return false;
  MoveStart(burst, i, surplus);
  packet.vlan_count = 1;
  const Be16 ether_type = Be16::FromHost(kEtherTypeVlan);
  const Be16 tci = Be16::FromHost(static_cast<uint16_t>(priority | vlan));
  std::memcpy(burst.frame[i] + kTwoMacs, &ether_type, sizeof(ether_type));
  std::memcpy(burst.frame[i] + kTwoMacs + 2, &tci, sizeof(tci));
  return true;
}

}  // namespace fairlead
