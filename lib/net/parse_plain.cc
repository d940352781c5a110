// A second implementation of the contract of parse.h, as simple as possible: one byte at a time, no
// overlaid headers, no packed words, addresses through IpAddress. It shares only the contract with
// parse.cc, so that a mistake in one of them shows up as a difference.
#include <algorithm>
#include <vector>

#include "lib/net/parse.h"

namespace fairlead {
namespace {

// Discarded at the first defect, else copied into the caller's packet.
struct Findings {
  unsigned protocol = 0;
  unsigned tcp_flags = 0;
  bool is_fragment = false;
  bool later_fragment = false;
  bool has_payload = false;
  bool has_ah = false;
  size_t l3_length = 0;
  size_t l4_offset = 0;
  unsigned source_port = 0;
  unsigned destination_port = 0;
};

class PlainParser {
 public:
  PlainParser(const uint8_t* frame, size_t linear_length, size_t frame_length)
      : bytes_(frame, frame + linear_length), frame_length_(frame_length) {}

  void Run(ParsedPacket* packet, FlowKey* key);

 private:
  bool Has(size_t offset, size_t count) const { return offset + count <= bytes_.size(); }
  uint64_t Number(size_t offset, size_t count) const {
    uint64_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value * 256 + bytes_[offset + i];
    return value;
  }
  IpAddress AddressAt(size_t offset) const {
    if (version_ == 4) return IpAddress::FromV4(std::span<const uint8_t, 4>(&bytes_[offset], 4));
    return IpAddress::FromV6(std::span<const uint8_t, 16>(&bytes_[offset], 16));
  }
  void FindNetworkHeader(ParsedPacket* packet);
  DropReason Ipv4(Findings* found) const;
  DropReason Ipv6(Findings* found) const;
  DropReason Extensions(size_t end, size_t* at, unsigned* next, unsigned* fragment_offset,
                        Findings* found) const;
  DropReason Transport(size_t end, Findings* found) const;
  bool HopByHopOptionsOk(size_t at, size_t length) const;

  std::vector<uint8_t> bytes_;
  size_t frame_length_;
  size_t l3_ = 0;
  int version_ = 0;  // 4 or 6, by the ethertype
};

DropReason PlainParser::Transport(size_t end, Findings* found) const {
  const size_t at = found->l4_offset;
  const size_t size = end - at;
  const bool tcp = found->protocol == 6;
  const bool udp = found->protocol == 17;
  const bool icmp = found->protocol == (version_ == 4 ? 1 : 58);
  const bool known = tcp || udp || icmp;
  if (!known && !(version_ == 6 && found->later_fragment)) {
    return DropReason::k_unsupported_protocol;
  }
  if (found->later_fragment) {
    found->has_payload = size != 0;
    return DropReason::kNone;
  }
  size_t fixed = 8;  // UDP, ICMP
  DropReason bad_header = icmp ? DropReason::k_bad_icmp : DropReason::k_bad_udp_header;
  if (tcp) {
    fixed = 20;
    bad_header = DropReason::k_bad_tcp_header;
  }
  if (size < fixed) return found->is_fragment && !icmp ? DropReason::k_fragment : bad_header;
  if (!Has(at, fixed)) return DropReason::k_truncated;
  if (icmp) {
    found->has_payload = size > 8;
    return DropReason::kNone;
  }
  // By the header: where its payload begins, and where the datagram ends.
  const size_t header = tcp ? (Number(at + 12, 1) >> 4) * 4 : 8;
  const size_t whole = tcp ? std::max(size, header) : Number(at + 4, 2);
  if (header < fixed || whole < header) return bad_header;
  if (!found->is_fragment && std::max(header, whole) > size) return bad_header;
  if (udp && version_ == 6 && Number(at + 6, 2) == 0) return DropReason::k_zero_udp_checksum;
  found->source_port = static_cast<unsigned>(Number(at, 2));
  found->destination_port = static_cast<unsigned>(Number(at + 2, 2));
  if (found->source_port == 0 || found->destination_port == 0) return DropReason::k_port_zero;
  if (tcp) found->tcp_flags = static_cast<unsigned>(Number(at + 13, 1));
  found->has_payload = std::min(size, whole) > header;
  return DropReason::kNone;
}

DropReason PlainParser::Ipv4(Findings* found) const {
  if (Number(l3_, 1) / 16 != 4) return DropReason::k_bad_ip_version;
  const size_t header = Number(l3_, 1) % 16 * 4;
  const size_t total = Number(l3_ + 2, 2);
  if (header < 20 || l3_ + header > frame_length_) return DropReason::k_bad_ip_header;
  if (total < header || l3_ + total > frame_length_) return DropReason::k_bad_ip_length;
  if (AddressAt(l3_ + 12).IsUnusable()) return DropReason::k_bad_source;
  if (Number(l3_ + 8, 1) == 0) return DropReason::k_ttl_zero;
  const uint64_t flags_and_offset = Number(l3_ + 6, 2);
  const uint64_t offset = flags_and_offset % 0x2000 * 8;
  const bool more = flags_and_offset / 0x2000 % 2 == 1;
  found->later_fragment = offset > 0;
  found->is_fragment = offset > 0 || more;
  if (offset > 0 && offset + total > 65535) return DropReason::k_fragment;
  found->protocol = static_cast<unsigned>(Number(l3_ + 9, 1));
  found->l3_length = total;
  found->l4_offset = l3_ + header;
  return Transport(l3_ + total, found);
}

bool PlainParser::HopByHopOptionsOk(size_t at, size_t length) const {
  size_t i = at + 2;
  const size_t end = at + length;
  while (i != end) {
    const uint64_t type = Number(i, 1);
    if (type == 0xc2) return false;  // jumbo payload
    if (type == 0) {                 // one byte of padding
      i += 1;
    } else {
      if (i + 1 == end) return false;
      i += 2 + Number(i + 1, 1);
    }
    if (i > end) return false;
  }
  return true;
}

DropReason PlainParser::Extensions(size_t end, size_t* at, unsigned* next,
                                   unsigned* fragment_offset, Findings* found) const {
  size_t walked_bytes = 0;
  std::vector<unsigned> walked;
  while (!found->later_fragment) {
    const unsigned type = *next;
    const bool hop_by_hop = type == 0, routing = type == 43, fragment = type == 44, ah = type == 51;
    if (!hop_by_hop && !routing && !fragment && !ah && type != 60) break;
    if (hop_by_hop && !walked.empty()) return DropReason::k_bad_extension;
    if (walked.size() == 8) return DropReason::k_bad_extension;
    if (*at + 8 > end) return DropReason::k_bad_extension;
    if (!Has(*at, 8)) return DropReason::k_truncated;
    size_t length = Number(*at + 1, 1) * 8 + 8;
    if (fragment) length = 8;
    if (ah) length = Number(*at + 1, 1) * 4 + 8;
    walked_bytes += length;
    if (*at + length > end || walked_bytes > 256) return DropReason::k_bad_extension;
    if (!Has(*at, length)) return DropReason::k_truncated;
    if (hop_by_hop && !HopByHopOptionsOk(*at, length)) return DropReason::k_bad_extension;
    if (routing && Number(*at + 3, 1) > 0) return DropReason::k_bad_extension;
    if (ah && length < 12) return DropReason::k_bad_extension;
    if (fragment) {
      if (std::count(walked.begin(), walked.end(), 44U) > 0) return DropReason::k_bad_extension;
      *fragment_offset = static_cast<unsigned>(Number(*at + 2, 2) / 8 * 8);
      found->later_fragment = *fragment_offset > 0;
      found->is_fragment = found->later_fragment || Number(*at + 3, 1) % 2 == 1;
    }
    found->has_ah = found->has_ah || ah;
    walked.push_back(type);
    *next = static_cast<unsigned>(Number(*at, 1));
    *at += length;
  }
  return DropReason::kNone;
}

DropReason PlainParser::Ipv6(Findings* found) const {
  if (Number(l3_, 1) / 16 != 6) return DropReason::k_bad_ip_version;
  const size_t payload = Number(l3_ + 4, 2);
  const size_t end = l3_ + 40 + payload;
  if (end > frame_length_ || 40 + payload > 65535) return DropReason::k_bad_ip_length;
  size_t at = l3_ + 40;
  auto next = static_cast<unsigned>(Number(l3_ + 6, 1));
  unsigned fragment_offset = 0;
  const DropReason defect = Extensions(end, &at, &next, &fragment_offset, found);
  if (defect != DropReason::kNone) return defect;
  const IpAddress source = AddressAt(l3_ + 8);
  if (source.IsUnusable()) {
    const bool unspecified = source == IpAddress::FromV6(std::array<uint8_t, 16>{});
    const bool icmp = next == 58 && !found->is_fragment && at + 8 <= end;
    if (!unspecified || !icmp) return DropReason::k_bad_source;
    if (!Has(at, 8)) return DropReason::k_truncated;
    if (Number(at, 1) != 135) return DropReason::k_bad_source;  // neighbour solicitation
  }
  if (Number(l3_ + 7, 1) == 0) return DropReason::k_ttl_zero;
  // The reassembled datagram has no fragment header (8 bytes).
  if (found->later_fragment && payload - 8 + fragment_offset > 65535) {
    return DropReason::k_fragment;
  }
  found->protocol = next;
  found->l3_length = 40 + payload;
  found->l4_offset = at;
  return Transport(end, found);
}

// Sets the fields of `packet` that do not depend on the IP header. Sets `defect` if the frame ends
// before the network header's end.
void PlainParser::FindNetworkHeader(ParsedPacket* packet) {
  *packet = ParsedPacket{};
  packet->defect = DropReason::k_truncated;
  if (!Has(0, 14)) return;
  packet->group_mac = bytes_[0] % 2 == 1;
  size_t type_at = 12;
  uint64_t type = Number(type_at, 2);
  while (type == 0x8100 || type == 0x88a8) {
    if (packet->vlan_count == 2) {
      packet->defect = DropReason::k_vlan_depth;
      return;
    }
    if (!Has(type_at + 2, 4)) return;
    type_at += 4;
    type = Number(type_at, 2);
    ++packet->vlan_count;
  }
  l3_ = type_at + 2;
  packet->l3_offset = static_cast<uint16_t>(l3_);
  size_t needed = 0;
  FrameKind kind = FrameKind::kOther;
  if (type == 0x0800) {
    needed = 20;
    kind = FrameKind::kIpv4;
  } else if (type == 0x86dd) {
    needed = 40;
    kind = FrameKind::kIpv6;
  } else if (type == 0x0806) {
    needed = 28;
    kind = FrameKind::kArp;
  }
  const bool complete = Has(l3_, needed);
  if (complete || kind == FrameKind::kArp) packet->kind = kind;
  if (complete) packet->defect = DropReason::kNone;
}

void PlainParser::Run(ParsedPacket* packet, FlowKey* key) {
  FindNetworkHeader(packet);
  if (packet->kind != FrameKind::kIpv4 && packet->kind != FrameKind::kIpv6) return;
  version_ = packet->kind == FrameKind::kIpv4 ? 4 : 6;
  Findings found;
  packet->defect = version_ == 4 ? Ipv4(&found) : Ipv6(&found);
  if (packet->defect != DropReason::kNone) found = Findings{};
  packet->l4_protocol = static_cast<uint8_t>(found.protocol);
  packet->tcp_flags = static_cast<uint8_t>(found.tcp_flags);
  packet->is_fragment = found.is_fragment;
  packet->later_fragment = found.later_fragment;
  packet->has_payload = found.has_payload;
  packet->has_ah = found.has_ah;
  packet->l3_length = static_cast<uint16_t>(found.l3_length);
  packet->l4_offset = static_cast<uint16_t>(found.l4_offset);
  const size_t source_at = l3_ + (version_ == 4 ? 12 : 8);
  const size_t destination_at = l3_ + (version_ == 4 ? 16 : 24);
  *key = FlowKey::Make(AddressAt(source_at), static_cast<uint16_t>(found.source_port),
                       AddressAt(destination_at), static_cast<uint16_t>(found.destination_port),
                       static_cast<uint8_t>(found.protocol));
}

}  // namespace

void ParseFramePlain(const uint8_t* frame, uint32_t linear_length, uint32_t frame_length,
                     ParsedPacket* packet, FlowKey* key) {
  PlainParser(frame, linear_length, frame_length).Run(packet, key);
}

}  // namespace fairlead
