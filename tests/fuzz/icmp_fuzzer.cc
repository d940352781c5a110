// Any bytes as an ICMP error: the quoted headers that are found lie inside the frame. Translated,
// it is an error about the translated flow, and each checksum stays right or wrong as it was.
// Translated back, it is the original frame. Also any bytes as the cause of an ICMP error of the
// balancer, which must be right and within its limits.
//
// Input: 1 byte of flags (1: make the ICMP checksum right, 2: the quoted IPv4 header's too), 1 of
// the new port's low half, then the frame.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "lib/base/check.h"
#include "lib/encap/nat_icmp.h"
#include "lib/net/icmp_error.h"
#include "lib/net/icmp_generate.h"
#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;

constexpr uint8_t kMac[6] = {2, 0, 0, 0, 0, 1};
constexpr uint8_t kNewAddress[16] = {10, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

ParsedPacket Parse(const Bytes& frame) {
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  return packet;
}

DropReason Read(const Bytes& frame, const ParsedPacket& packet, IcmpError* error) {
  return ReadIcmpError(frame.data(), static_cast<uint32_t>(frame.size()), packet, error);
}

// 0xffff when the message's checksum is right.
uint16_t MessageSum(const Bytes& frame, const ParsedPacket& packet) {
  const size_t l3 = packet.l3_offset;
  const Bytes message =
      slow::Slice(frame, packet.l4_offset, l3 + packet.l3_length - packet.l4_offset);
  if (packet.kind == FrameKind::kIpv4) return slow::Sum(message);
  return slow::L4Sum(slow::Slice(frame, l3 + 8, 16), slow::Slice(frame, l3 + 24, 16), 58, message);
}

void Repair(uint8_t flags, Bytes* frame, const ParsedPacket& packet) {
  const size_t l4 = packet.l4_offset;
  const size_t end = size_t{packet.l3_offset} + packet.l3_length;
  const size_t quote = l4 + 8;
  if ((flags & 2) != 0 && packet.kind == FrameKind::kIpv4 && quote + 20 <= end) {
    const size_t header = ((*frame)[quote] & 15U) * 4U;
    if (header >= 20 && quote + header <= end) {
      slow::Put16(frame, quote + 10, 0);
      slow::Put16(frame, quote + 10,
                  static_cast<uint16_t>(~slow::Sum(slow::Slice(*frame, quote, header))));
    }
  }
  if ((flags & 1) != 0) {
    slow::Put16(frame, l4 + 2, 0);
    slow::Put16(frame, l4 + 2, static_cast<uint16_t>(~MessageSum(*frame, packet)));
  }
}

size_t TtlOffset(const ParsedPacket& packet) {
  return packet.l3_offset + (packet.kind == FrameKind::kIpv4 ? 8U : 7U);
}

void CheckBounds(const ParsedPacket& packet, const IcmpError& error) {
  const uint32_t end = uint32_t{packet.l3_offset} + packet.l3_length;
  CHECK(error.inner_l3_offset == packet.l4_offset + 8);
  CHECK(error.inner_l4_offset >= error.inner_l3_offset + 20);
  CHECK(error.inner_l4_length >= 8);
  CHECK(uint32_t{error.inner_l4_offset} + error.inner_l4_length <= end);
}

// `a` and `b` may differ only in checksums, which the caller has compared in another manner.
void CheckSameButChecksums(const Bytes& a, Bytes b, const ParsedPacket& packet,
                           const IcmpError& error) {
  const auto take_over = [&](size_t at) {
    b[at] = a[at];
    b[at + 1] = a[at + 1];
  };
  take_over(packet.l4_offset + 2U);
  if (packet.kind == FrameKind::kIpv4) {
    take_over(packet.l3_offset + 10U);
    take_over(error.inner_l3_offset + 10U);
  }
  if (error.protocol == kIpProtoUdp) {
    take_over(error.inner_l4_offset + 6U);
  } else if (error.inner_l4_length >= 18) {
    take_over(error.inner_l4_offset + 16U);
  }
  CHECK(a == b);
}

void RoundTripForward(const Bytes& frame, const ParsedPacket& packet, const IcmpError& error,
                      const NatEndpoint& backend) {
  Bytes changed = frame;
  TranslateIcmpErrorToBackend(changed.data(), packet, error, backend, kMac, kMac);
  IcmpError after;
  CHECK(Read(changed, packet, &after) == DropReason::kNone);
  CHECK(std::memcmp(after.key.destination().bytes().data(), backend.address.data(),
                    error.key.destination().wire().size()) == 0);
  CHECK(after.key.source() == error.key.source());
  const NatEndpoint original =
      NatEndpoint::Make(error.key.destination(), error.key.destination_port());
  TranslateIcmpErrorToBackend(changed.data(), packet, after, original, frame.data(),
                              frame.data() + 6);
  CHECK(Read(changed, packet, &after) == DropReason::kNone);
  CHECK(after.key == error.key);
  changed[TtlOffset(packet)] = frame[TtlOffset(packet)];
  CheckSameButChecksums(frame, changed, packet, error);
}

void RoundTripReverse(const Bytes& frame, const ParsedPacket& packet, const IcmpError& error,
                      const NatEndpoint& frontend) {
  Bytes changed = frame;
  TranslateIcmpErrorToClient(changed.data(), packet, error, frontend, kMac, kMac);
  IcmpError after;
  CHECK(Read(changed, packet, &after) == DropReason::kNone);
  CHECK(after.key.destination() == error.key.destination());
  const NatEndpoint original = NatEndpoint::Make(error.key.source(), error.key.source_port());
  TranslateIcmpErrorToClient(changed.data(), packet, after, original, frame.data(),
                             frame.data() + 6);
  CHECK(Read(changed, packet, &after) == DropReason::kNone);
  CHECK(after.key == error.key);
}

void Generate(const Bytes& frame, const ParsedPacket& packet, IcmpErrorKind kind) {
  const bool v4 = packet.kind == FrameKind::kIpv4;
  const IpAddress own = v4 ? IpAddress::FromV4(std::span<const uint8_t, 4>(kNewAddress, 4))
                           : IpAddress::FromV6(kNewAddress);
  Bytes out(kMaxIcmpErrorFrame);
  const auto length = static_cast<uint32_t>(frame.size());
  out.resize(MakeIcmpError(kind, frame.data(), length, packet, own, {}, 1400, out.data(),
                           kMaxIcmpErrorFrame));
  CHECK(out.empty() == !MaySendIcmpError(frame.data(), length, packet));
  if (out.empty()) return;
  const ParsedPacket made = Parse(out);
  CHECK(made.defect == DropReason::kNone);
  CHECK(made.l3_offset == packet.l3_offset);
  CHECK(made.l3_length <= (v4 ? kMaxIcmpErrorIpv4 : kMaxIcmpErrorIpv6));
  CHECK(MessageSum(out, made) == 0xffff);
  CHECK(!v4 || slow::Sum(slow::Slice(out, made.l3_offset, 20)) == 0xffff);
  CHECK(!MaySendIcmpError(out.data(), static_cast<uint32_t>(out.size()), made));
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  constexpr size_t kPrefix = 2;
  if (size < kPrefix) return 0;
  slow::Bytes frame(data + kPrefix, data + size);
  const ParsedPacket packet = Parse(frame);
  if (packet.kind != FrameKind::kIpv4 && packet.kind != FrameKind::kIpv6) return 0;
  if (packet.defect != DropReason::kNone) return 0;
  Generate(frame, packet, IcmpErrorKind::kTimeExceeded);
  Generate(frame, packet, IcmpErrorKind::kTooBig);
  const bool v4 = packet.kind == FrameKind::kIpv4;
  if (packet.l4_protocol != (v4 ? kIpProtoIcmp : kIpProtoIcmpv6) || packet.later_fragment) return 0;
  Repair(data[0], &frame, packet);
  frame.shrink_to_fit();
  IcmpError error;
  if (Read(frame, packet, &error) != DropReason::kNone) return 0;
  CheckBounds(packet, error);
  if (frame[TtlOffset(packet)] < 3) return 0;
  NatEndpoint there{{}, static_cast<uint16_t>(data[1])};
  std::memcpy(there.address.data(), kNewAddress, v4 ? 4 : 16);
  RoundTripForward(frame, packet, error, there);
  RoundTripReverse(frame, packet, error, there);
  return 0;
}
