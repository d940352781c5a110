// Any bytes as bursts of frames through the whole pipeline, in every forwarding mode. Every packet
// gets exactly one verdict and one counter (rx + generated = tx + drops + to_kernel). Every buffer
// is freed. Nothing is read or written outside a frame's buffer (each frame has its own memory
// block, so AddressSanitizer detects it). No frame that leaves is larger than the MTU.
//
// Input: 1 byte of mode; then packets: 2 bytes of flags and length (big-endian: 4 bits of flags, 12
// of length), then the frame.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lib/base/check.h"
#include "tests/fuzz/pipeline_config.h"

namespace fairlead {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint32_t kMtu = 1500;
// Flags of a packet.
constexpr uint32_t kLastOfBurst = 1;  // the burst is processed after this packet
constexpr uint32_t kSegments = 2;     // only its headers are contiguous
constexpr uint32_t kNoHeadroom = 4;   // the headroom is too small for some tunnels
constexpr uint32_t kTimePasses = 8;   // one tick, before the burst is processed

PacketHarness* HarnessOf(size_t mode) {
  static std::vector<std::unique_ptr<PacketHarness>>& harnesses =
      *new std::vector<std::unique_ptr<PacketHarness>>(kFuzzModes.size());
  std::unique_ptr<PacketHarness>& harness = harnesses[mode];
  if (harness == nullptr) {
    Result<PacketVariant> variant = MakeFuzzVariant(kFuzzModes[mode]);
    CHECK(variant.ok());
    Result<std::unique_ptr<PacketHarness>> made = PacketHarness::Create(*variant);
    CHECK(made.ok());
    harness = *std::move(made);
  }
  return harness.get();
}

// The length of the IP packet in a frame that left, from its header; 0 for ARP.
uint32_t IpLength(const Bytes& frame) {
  size_t at = 12;
  CHECK(frame.size() >= at + 2);
  const auto word = [&](size_t place) {
    CHECK(place + 2 <= frame.size());
    return uint32_t{frame[place]} << 8 | frame[place + 1];
  };
  while (word(at) == 0x8100 || word(at) == 0x88a8) at += 4;
  if (word(at) == 0x0800) return word(at + 4);
  return word(at) == 0x86dd ? 40 + word(at + 6) : 0;
}

void CheckLeaving(const Bytes& frame) {
  if (frame.empty()) return;
  const uint32_t length = IpLength(frame);
  CHECK(length <= kMtu);
  CHECK(length <= frame.size());
}

void CheckOutcome(const PacketHarness::Outcome& outcome) {
  for (const PacketHarness::PacketFate& left : outcome.packets) {
    CHECK(left.verdict != Verdict::kPending);
    CHECK((left.verdict == Verdict::kDrop) == (left.reason != DropReason::kNone));
    CheckLeaving(left.frame);
  }
  for (const Bytes& frame : outcome.made) {
    CHECK(!frame.empty());
    CheckLeaving(frame);
  }
}

void RunBurst(PacketHarness* harness, Burst* burst) {
  CheckOutcome(harness->Process(burst));
  ExpireHandshakes(harness->context());
  CheckOutcome(harness->Release(false));
  burst->count = 0;
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  if (size < 1) return 0;
  PacketHarness* const harness = HarnessOf(data[0] % kFuzzModes.size());
  harness->Reset();
  const auto burst = std::make_unique<Burst>();
  size_t at = 1;
  while (at + 2 < size) {
    const uint32_t flags = data[at] >> 4;
    const size_t length =
        std::min<size_t>(size_t{data[at] & 15U} << 8 | data[at + 1], size - at - 2);
    at += 2;
    FrameLayout layout;
    if ((flags & kSegments) != 0) layout.linear_length = kMaxHeaderBytes;
    layout.headroom = (flags & kNoHeadroom) != 0 ? 30 : 128;
    layout.tailroom = (flags & kSegments) != 0 ? 0 : 8;
    harness->buffers().Receive({data + at, length}, layout, burst.get());
    at += length;
    if ((flags & kTimePasses) != 0) ++harness->context().now_tick;
    if ((flags & kLastOfBurst) != 0 || burst->count == kMaxBurst) RunBurst(harness, burst.get());
  }
  RunBurst(harness, burst.get());
  CheckOutcome(harness->Release(true));
  CHECK(harness->IsConserved());
  CHECK(harness->buffers().in_use() == 0);
  return 0;
}
