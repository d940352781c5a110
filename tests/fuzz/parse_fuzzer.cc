// Any bytes as a frame: the fast parser and the plain one must agree. The headers that they find,
// and the answers and dsr rewrites that are made from the frame, must lie inside it.
//
// Input: 2 bytes with the number of contiguous bytes (0 or too many: all), then the frame.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "lib/base/check.h"
#include "lib/encap/dsr.h"
#include "lib/net/answer.h"
#include "lib/net/parse.h"

namespace fairlead {
namespace {

constexpr uint8_t kMac[8] = {2, 0, 0, 0, 0, 1};

void CheckAgreement(const ParsedPacket& a, const ParsedPacket& b, const FlowKey& a_key,
                    const FlowKey& b_key) {
  CHECK(a.kind == b.kind);
  CHECK(a.defect == b.defect);
  CHECK(a.l4_protocol == b.l4_protocol);
  CHECK(a.tcp_flags == b.tcp_flags);
  CHECK(a.vlan_count == b.vlan_count);
  CHECK(a.group_mac == b.group_mac);
  CHECK(a.is_fragment == b.is_fragment);
  CHECK(a.later_fragment == b.later_fragment);
  CHECK(a.has_payload == b.has_payload);
  CHECK(a.has_ah == b.has_ah);
  CHECK(a.l3_offset == b.l3_offset);
  CHECK(a.l4_offset == b.l4_offset);
  CHECK(a.l3_length == b.l3_length);
  CHECK(a_key == b_key);
}

void CheckBounds(const ParsedPacket& packet, uint32_t linear, uint32_t length) {
  if (packet.defect != DropReason::kNone) return;
  if (packet.kind != FrameKind::kIpv4 && packet.kind != FrameKind::kIpv6) return;
  CHECK(packet.l3_offset + uint32_t{packet.l3_length} <= length);
  CHECK(packet.l4_offset <= packet.l3_offset + uint32_t{packet.l3_length});
  CHECK(packet.l4_offset < kMaxHeaderBytes);
  CHECK(packet.later_fragment || packet.l4_offset + 8U <= linear);
}

void Answer(const uint8_t* frame, uint32_t linear, const ParsedPacket& packet, const FlowKey& key) {
  const MacAddress mac{{2, 0, 0, 0, 0, 1}};
  constexpr uint32_t kSpareBytes = 8;
  const auto copy = std::make_unique<uint8_t[]>(linear + kSpareBytes);
  std::memcpy(copy.get(), frame, linear);
  if (packet.kind == FrameKind::kArp) {
    if (ReadArp(frame, linear, packet).kind == NeighbourKind::kRequest) {
      CHECK(MakeArpReply(copy.get(), linear, packet, mac) <= linear);
    }
    return;
  }
  if (packet.defect != DropReason::kNone) return;
  const bool v6 = packet.kind == FrameKind::kIpv6;
  if (v6 && packet.l4_protocol == kIpProtoIcmpv6 &&
      ReadNeighbour(frame, linear, packet).kind == NeighbourKind::kRequest) {
    const uint32_t made =
        MakeNeighbourAdvertisement(copy.get(), linear, linear + kSpareBytes, packet, mac);
    CHECK(made <= linear + kSpareBytes);
  } else if (IsEchoRequest(frame, linear, packet) && !key.destination().IsUnusable()) {
    const uint32_t made = MakeEchoReply(copy.get(), linear, packet, mac);
    CHECK(made <= linear);
    ParsedPacket reply;
    FlowKey reply_key;
    ParseFrame(copy.get(), made, made, &reply, &reply_key);
    CHECK(reply.kind == packet.kind && reply.defect == DropReason::kNone);
    CHECK(reply_key.source() == key.destination() && reply_key.destination() == key.source());
  }
}

void Rewrite(const uint8_t* frame, uint32_t linear, uint32_t length, const ParsedPacket& packet) {
  const bool v4 = packet.kind == FrameKind::kIpv4;
  if (packet.defect != DropReason::kNone || (!v4 && packet.kind != FrameKind::kIpv6)) return;
  const uint32_t ttl_offset = packet.l3_offset + (v4 ? 8U : 7U);
  if (frame[ttl_offset] < 2) return;
  const auto copy = std::make_unique<uint8_t[]>(linear);
  std::memcpy(copy.get(), frame, linear);
  RewriteDsr(copy.get(), packet, kMac, SourceMac::Of(kMac));
  ParsedPacket after;
  FlowKey key;
  ParseFrame(copy.get(), linear, length, &after, &key);
  CHECK(after.defect == DropReason::kNone);
  CHECK(copy[ttl_offset] + 1 == frame[ttl_offset]);
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  constexpr size_t kPrefix = 2;
  if (size < kPrefix) return 0;
  const auto length = static_cast<uint32_t>(size - kPrefix);
  const uint32_t wanted = uint32_t{data[0]} << 8 | data[1];
  const uint32_t linear = wanted == 0 || wanted > length ? length : wanted;
  // Exactly as long as the contiguous bytes, so that ASan detects a read past them.
  const auto frame = std::make_unique<uint8_t[]>(linear);
  std::memcpy(frame.get(), data + kPrefix, linear);

  ParsedPacket fast;
  ParsedPacket plain;
  FlowKey fast_key;
  FlowKey plain_key;
  ParseFrame(frame.get(), linear, length, &fast, &fast_key);
  ParseFramePlain(frame.get(), linear, length, &plain, &plain_key);
  CheckAgreement(fast, plain, fast_key, plain_key);
  CheckBounds(fast, linear, length);
  Answer(frame.get(), linear, fast, fast_key);
  Rewrite(frame.get(), linear, length, fast);
  return 0;
}
