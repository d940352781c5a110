// Any bytes as a TCP or UDP packet through nat: each checksum stays as right or as wrong as it was,
// and translating back gives the original packet except for the TTL.
//
// Input: 4 bytes (new port, MSS), 16 of a new address, then the frame.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "lib/base/check.h"
#include "lib/encap/nat.h"
#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;

constexpr uint8_t kMac[6] = {2, 0, 0, 0, 0, 1};

// 0xffff and 0 are one value in one's complement; sums of something nonzero come out as 0xffff.
uint32_t Modulo(uint16_t sum) { return sum == 0xffff ? 0 : sum; }

struct Sums {
  uint32_t ip = 0;
  uint32_t l4 = 0;
  bool has_checksum = true;
  friend bool operator==(const Sums&, const Sums&) = default;
};

Sums SumsOf(const Bytes& frame, const ParsedPacket& packet) {
  const bool v4 = packet.kind == FrameKind::kIpv4;
  const size_t l3 = packet.l3_offset;
  const size_t l4 = packet.l4_offset;
  Sums sums;
  if (v4) sums.ip = Modulo(slow::Sum(slow::Slice(frame, l3, l4 - l3)));
  if (packet.later_fragment) return sums;
  const size_t length = v4 ? 4 : 16;
  const size_t source = l3 + (v4 ? 12 : 8);
  sums.has_checksum = packet.l4_protocol != kIpProtoUdp || slow::Get16(frame, l4 + 6) != 0;
  if (sums.has_checksum) {
    sums.l4 = Modulo(slow::L4Sum(slow::Slice(frame, source, length),
                                 slow::Slice(frame, source + length, length), packet.l4_protocol,
                                 slow::Slice(frame, l4, l3 + packet.l3_length - l4)));
  }
  return sums;
}

size_t TtlOffset(const ParsedPacket& packet) {
  return packet.l3_offset + (packet.kind == FrameKind::kIpv4 ? 8U : 7U);
}

IpAddress AddressFrom(const uint8_t* bytes, bool v4) {
  return v4 ? IpAddress::FromV4(std::span<const uint8_t, 4>(bytes, 4))
            : IpAddress::FromV6(std::span<const uint8_t, 16>(bytes, 16));
}

using Rewrite = void (*)(uint8_t*, const ParsedPacket&, const NatEndpoint&, const uint8_t*,
                         const uint8_t*);

// Translates to `there` and back. `original`: the end that is translated, as in `frame`.
void RoundTrip(const Bytes& frame, const ParsedPacket& packet, Rewrite rewrite,
               const NatEndpoint& there, const NatEndpoint& original) {
  const Sums before = SumsOf(frame, packet);
  Bytes changed = frame;
  rewrite(changed.data(), packet, there, kMac, kMac);
  CHECK(SumsOf(changed, packet) == before);
  rewrite(changed.data(), packet, original, frame.data(), frame.data() + 6);
  CHECK(SumsOf(changed, packet) == before);
  CHECK(changed[TtlOffset(packet)] + 2 == frame[TtlOffset(packet)]);
  changed[TtlOffset(packet)] = frame[TtlOffset(packet)];
  // The checksums were compared above, as one's complement numbers.
  const auto take_over = [&](size_t at) {
    changed[at] = frame[at];
    changed[at + 1] = frame[at + 1];
  };
  if (packet.kind == FrameKind::kIpv4) take_over(packet.l3_offset + 10U);
  if (!packet.later_fragment) {
    take_over(packet.l4_offset + (packet.l4_protocol == kIpProtoTcp ? 16U : 6U));
  }
  CHECK(changed == frame);
}

void Clamp(const Bytes& frame, const ParsedPacket& packet, uint16_t mss) {
  if (packet.later_fragment || packet.l4_protocol != kIpProtoTcp) return;
  Bytes changed = frame;
  const uint32_t end = uint32_t{packet.l3_offset} + packet.l3_length;
  ClampMss(changed.data() + packet.l4_offset, end - packet.l4_offset, mss);
  CHECK(SumsOf(changed, packet) == SumsOf(frame, packet));
  Bytes again = changed;
  CHECK(!ClampMss(again.data() + packet.l4_offset, end - packet.l4_offset, mss));
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  constexpr size_t kPrefix = 20;
  if (size < kPrefix) return 0;
  const auto port = static_cast<uint16_t>(data[0] << 8 | data[1]);
  const auto mss = static_cast<uint16_t>(data[2] << 8 | data[3]);
  const slow::Bytes frame(data + kPrefix, data + size);
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  if (packet.kind != FrameKind::kIpv4 && packet.kind != FrameKind::kIpv6) return 0;
  if (packet.defect != DropReason::kNone || packet.has_ah) return 0;
  const bool v4 = packet.kind == FrameKind::kIpv4;
  const bool has_ports = packet.l4_protocol == kIpProtoTcp || packet.l4_protocol == kIpProtoUdp;
  if (!packet.later_fragment && !has_ports) return 0;
  if (frame[TtlOffset(packet)] < 3) return 0;
  const NatEndpoint there = NatEndpoint::Make(AddressFrom(data + 4, v4), port);
  RoundTrip(frame, packet, RewriteNatToBackend, there,
            NatEndpoint::Make(key.destination(), key.destination_port()));
  RoundTrip(frame, packet, RewriteNatToClient, there,
            NatEndpoint::Make(key.source(), key.source_port()));
  Clamp(frame, packet, mss);
  return 0;
}
