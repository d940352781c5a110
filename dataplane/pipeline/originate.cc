#include "dataplane/pipeline/originate.h"

#include <algorithm>
#include <cstring>

#include "dataplane/pipeline/packet_access.h"
#include "lib/base/check.h"
#include "lib/net/checksum.h"
#include "lib/net/fragment_cut.h"
#include "lib/net/refusal.h"

namespace fairlead {
namespace {

// Copies `length` bytes of frame `i`, in any of its segments.
void CopyFrame(const PipelineContext& context, const Burst& burst, uint32_t i, uint32_t offset,
               uint32_t length, uint8_t* out) {
  const uint32_t linear = burst.linear_length[i];
  const uint32_t near = offset < linear ? std::min(length, linear - offset) : 0;
  if (near != 0) std::memcpy(out, burst.frame[i] + offset, near);
  if (near == length) return;
  context.buffers->CopyTail(burst.handle[i], offset + near - linear, length - near, out + near);
}

void AddMade(PipelineContext& context, Burst& burst, const MadeFrame& frame) {
  DCHECK(burst.made_count < kMaxMade);
  burst.made[burst.made_count++] = frame;
  Add(&context.counters->totals.generated, 1);
}

// The checksum's sum over the whole IP packet of frame `i`, including all segments.
uint64_t SumPacket(const PipelineContext& context, const Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  const uint32_t end = uint32_t{packet.l3_offset} + packet.l3_length;
  const uint32_t near = std::min(end, burst.linear_length[i]);
  // A partial sum must end at an even offset. An odd last byte is copied with the bytes after it.
  uint32_t at = near == end ? near : near - (near - packet.l3_offset) % 2;
  uint64_t sum = ChecksumPartial(burst.frame[i] + packet.l3_offset, at - packet.l3_offset, 0);
  uint8_t chunk[512];
  while (at < end) {
    const uint32_t length = std::min<uint32_t>(sizeof(chunk), end - at);
    CopyFrame(context, burst, i, at, length, chunk);
    sum = ChecksumPartial(chunk, length, sum);
    at += length;
  }
  return sum;
}

// Makes a piece other than the first, in a new buffer.
DropReason MakePiece(PipelineContext& context, const Burst& burst, uint32_t i,
                     const FragmentCut& cut, uint32_t index, const PieceTunnel& tunnel,
                     MadeFrame* made) {
  const ParsedPacket& packet = burst.packet[i];
  const FragmentPiece piece = cut.piece(index);
  const uint32_t l3 = packet.l3_offset;
  const uint32_t overhead = tunnel.tunnel != nullptr ? tunnel.tunnel->overhead_bytes +
                                                           static_cast<uint32_t>(tunnel.data.size())
                                                     : 0;
  made->length = l3 + piece.header_length + piece.payload_length;
  if (!context.buffers->Allocate(overhead, made->length, made)) return DropReason::k_no_buffer;
  std::memcpy(made->frame, burst.frame[i], l3);
  cut.WriteHeader(index, made->frame + l3);
  CopyFrame(context, burst, i, l3 + cut.piece(0).header_length + piece.payload_begin,
            piece.payload_length, made->frame + l3 + piece.header_length);
  made->egress_port = burst.egress_port[i];
  made->service = burst.service[i];
  if (tunnel.tunnel == nullptr) return DropReason::kNone;
  ParsedPacket part = packet;
  part.l3_length = static_cast<uint16_t>(piece.header_length + piece.payload_length);
  const uint64_t sum =
      tunnel.udp_checksum ? ChecksumPartial(made->frame + l3, part.l3_length, 0) : 0;
  Encapsulate(*tunnel.tunnel, made->frame, overhead, part, tunnel.entropy, tunnel.destination_mac,
              tunnel.source_mac, tunnel.data);
  made->frame -= overhead;
  made->length += overhead;
  if (tunnel.udp_checksum) SetGueChecksum(made->frame + l3, sum);
  return DropReason::kNone;
}

// Turns the packet into the first piece.
DropReason KeepFirstPiece(PipelineContext& context, Burst& burst, uint32_t i,
                          const FragmentCut& cut, const PieceTunnel& tunnel) {
  const FragmentPiece piece = cut.piece(0);
  uint8_t header[kMaxIpv4HeaderBytes];
  cut.WriteHeader(0, header);
  ParsedPacket& packet = burst.packet[i];
  std::memcpy(burst.frame[i] + packet.l3_offset, header, piece.header_length);
  packet.l3_length = static_cast<uint16_t>(piece.header_length + piece.payload_length);
  TrimPadding(burst, i);
  if (tunnel.tunnel == nullptr) return DropReason::kNone;
  if (tunnel.udp_checksum) return EncapsulateWithChecksum(context, burst, i, tunnel);
  return EncapsulatePacket(burst, i, tunnel);
}

}  // namespace

void SendIcmpError(PipelineContext& context, Burst& burst, uint32_t i, IcmpErrorKind kind,
                   const IpAddress& frontend, uint32_t mtu) {
  const ParsedPacket& packet = burst.packet[i];
  if (context.buffers == nullptr || burst.made_count == kMaxMade) return;
  if (!MaySendIcmpError(burst.frame[i], burst.linear_length[i], packet)) return;
  if (!context.icmp_errors.Take(context.now_us)) return;
  MadeFrame made;
  if (!context.buffers->Allocate(0, kMaxIcmpErrorFrame, &made)) return;
  const uint8_t* frame = burst.frame[i];
  uint32_t length = burst.linear_length[i];
  uint8_t together[kMaxIcmpErrorFrame];
  const uint32_t quoted = std::min<uint32_t>(burst.frame_length[i], sizeof(together));
  if (length < quoted) {
    CopyFrame(context, burst, i, 0, quoted, together);
    frame = together;
    length = quoted;
  }
  const PortView& port = context.ports[burst.ingress_port[i]];
  const auto& own = packet.kind == FrameKind::kIpv4 ? port.address_v4 : port.address_v6;
  const IpAddress source =
      kind == IcmpErrorKind::kPortUnreachable ? frontend : own.value_or(frontend);
  made.length = MakeIcmpError(kind, frame, length, packet, source, port.mac, mtu, made.frame,
                              kMaxIcmpErrorFrame);
  if (made.length == 0) return context.buffers->Free(made.handle);
  made.egress_port = burst.ingress_port[i];
  AddMade(context, burst, made);
}

void RefuseClient(PipelineContext& context, Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  if (context.buffers == nullptr || burst.made_count == kMaxMade) return;
  // The checksum covers the whole packet, so all of it must be contiguous.
  if (burst.linear_length[i] < burst.frame_length[i]) context.buffers->Gather(&burst, i);
  if (!MayRefuse(burst.frame[i], burst.linear_length[i], packet)) return;
  if (packet.l4_protocol == kIpProtoUdp) {
    return SendIcmpError(context, burst, i, IcmpErrorKind::kPortUnreachable,
                         burst.key[i].destination(), 0);
  }
  if (!context.resets.Take(context.now_us)) return;
  MadeFrame made;
  if (!context.buffers->Allocate(0, kMaxTcpResetFrame, &made)) return;
  const PortView& port = context.ports[burst.ingress_port[i]];
  made.length = MakeTcpReset(burst.frame[i], packet, port.mac, made.frame);
  made.egress_port = burst.ingress_port[i];
  AddMade(context, burst, made);
}

bool MayCut(const Burst& burst, uint32_t i) {
  const ParsedPacket& packet = burst.packet[i];
  if (packet.kind != FrameKind::kIpv4) return false;
  const auto& ip = *reinterpret_cast<const Ipv4Header*>(burst.frame[i] + packet.l3_offset);
  return (ip.flags_fragment.host() & kIpv4DontFragment) == 0;
}

DropReason CutPacket(PipelineContext& context, Burst& burst, uint32_t i, uint32_t mtu,
                     const PieceTunnel& tunnel) {
  FragmentCut cut;
  const DropReason refusal = cut.Plan(burst.frame[i] + burst.packet[i].l3_offset, mtu);
  if (refusal != DropReason::kNone) return refusal;
  const uint32_t others = cut.count() - 1;
  if (context.buffers == nullptr || others > kMaxMade - burst.made_count) {
    return DropReason::k_no_buffer;
  }
  if (tunnel.tunnel != nullptr &&
      burst.headroom[i] < tunnel.tunnel->overhead_bytes + tunnel.data.size()) {
    return DropReason::k_no_headroom;
  }
  MadeFrame* made = &burst.made[burst.made_count];
  for (uint32_t index = 1; index <= others; ++index) {
    const DropReason failure = MakePiece(context, burst, i, cut, index, tunnel, &made[index - 1]);
    if (failure == DropReason::kNone) continue;
    for (uint32_t done = 0; done + 1 < index; ++done) context.buffers->Free(made[done].handle);
    return failure;
  }
  burst.made_count += others;
  Add(&context.counters->totals.generated, others);
  return KeepFirstPiece(context, burst, i, cut, tunnel);
}

DropReason EncapsulateWithChecksum(PipelineContext& context, Burst& burst, uint32_t i,
                                   const PieceTunnel& tunnel) {
  const uint64_t sum = SumPacket(context, burst, i);
  const DropReason refusal = EncapsulatePacket(burst, i, tunnel);
  if (refusal != DropReason::kNone) return refusal;
  SetGueChecksum(burst.frame[i] + burst.packet[i].l3_offset, sum);
  return DropReason::kNone;
}

}  // namespace fairlead
