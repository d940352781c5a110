// The cost of the steps of lib/net and lib/encap, per packet, on one core.
//
// Each row first compares its result with the slow twin's or a known value. If they differ, it
// reports an error and no figure. `frames:N` is the working set: 32 frames stay in L1, 4096 in
// L2/L3, 262144 (64 MB at 256 bytes a frame) come from memory.
#include <cstring>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "lib/encap/dsr.h"
#include "lib/net/checksum.h"
#include "lib/net/parse.h"
#include "tests/unit/net/frame_builder.h"

namespace fairlead {
namespace {

using benchmark::State;
using testing::Bytes;
using testing::Ethernet;
using testing::Ipv4;
using testing::Ipv6;
using testing::Tcp;
using testing::Udp;

constexpr size_t kBurst = 32;
constexpr size_t kStride = 256;
constexpr uint8_t kMacA[6] = {2, 0, 0, 0, 0, 0xa};
constexpr uint8_t kMacB[8] = {2, 0, 0, 0, 0, 0xb};

struct Form {
  const char* name;
  Bytes frame;
};

std::vector<Form> Forms() {
  const Bytes tcp = Tcp({}, Bytes(6));  // 64 bytes on the wire with the frame check sequence
  const Bytes udp = Udp({}, Bytes(18));
  return {
      {"v4_tcp", Ethernet(0x0800, Ipv4(tcp))},
      {"v4_udp", Ethernet(0x0800, Ipv4(udp, {.protocol = 17}))},
      {"v4_options", Ethernet(0x0800, Ipv4(tcp, {.options = Bytes(8, 1)}))},
      {"v4_vlan", Ethernet(0x0800, Ipv4(tcp), {.tags = {0x81000064}})},
      {"v4_qinq", Ethernet(0x0800, Ipv4(tcp), {.tags = {0x88a80064, 0x81000065}})},
      {"v6_tcp", Ethernet(0x86dd, Ipv6(tcp))},
      {"v6_udp", Ethernet(0x86dd, Ipv6(udp, {.next_header = 17}))},
      {"v6_extension",
       Ethernet(0x86dd, Ipv6(testing::operator+(testing::Extension(6), tcp), {.next_header = 60}))},
  };
}

// `count` copies of a frame, kStride bytes apart as in a packet pool.
class FrameSet {
 public:
  FrameSet(const Bytes& frame, size_t count)
      : memory_(count * kStride), count_(count), length_(static_cast<uint32_t>(frame.size())) {
    for (size_t i = 0; i < count; ++i) {
      std::memcpy(at(i), frame.data(), frame.size());
    }
  }
  uint8_t* at(size_t index) { return memory_.data() + index * kStride; }
  size_t count() const { return count_; }
  uint32_t length() const { return length_; }

 private:
  Bytes memory_;
  size_t count_;
  uint32_t length_;
};

void ReportPerPacket(State& state, size_t packets_per_iteration) {
  const auto packets =
      static_cast<double>(state.iterations()) * static_cast<double>(packets_per_iteration);
  state.SetItemsProcessed(static_cast<int64_t>(packets));
  state.counters["s/packet"] =
      benchmark::Counter(packets, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

bool ParsersAgree(const uint8_t* frame, uint32_t length) {
  ParsedPacket fast;
  ParsedPacket plain;
  FlowKey fast_key;
  FlowKey plain_key;
  ParseFrame(frame, length, length, &fast, &fast_key);
  ParseFramePlain(frame, length, length, &plain, &plain_key);
  return plain.defect == DropReason::kNone && fast.defect == plain.defect &&
         fast.kind == plain.kind && fast.l3_offset == plain.l3_offset &&
         fast.l4_offset == plain.l4_offset && fast.l4_protocol == plain.l4_protocol &&
         fast_key == plain_key;
}

using Parser = void (*)(const uint8_t*, uint32_t, uint32_t, ParsedPacket*, FlowKey*);

template <Parser kParse>
void ParseBursts(State& state, const Bytes& frame) {
  FrameSet frames(frame, static_cast<size_t>(state.range(0)));
  if (!ParsersAgree(frames.at(frames.count() - 1), frames.length())) {
    state.SkipWithError("ParseFrame and ParseFramePlain disagree");
    return;
  }
  ParsedPacket packets[kBurst];
  FlowKey keys[kBurst];
  size_t next = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kBurst; ++i) {
      kParse(frames.at(next + i), frames.length(), frames.length(), &packets[i], &keys[i]);
    }
    benchmark::DoNotOptimize(packets);
    benchmark::DoNotOptimize(keys);
    benchmark::ClobberMemory();
    next = next + kBurst == frames.count() ? 0 : next + kBurst;
  }
  ReportPerPacket(state, kBurst);
}

void RewriteBursts(State& state, const Bytes& frame) {
  FrameSet frames(frame, static_cast<size_t>(state.range(0)));
  ParsedPacket packet;
  FlowKey key;
  ParseFrame(frames.at(0), frames.length(), frames.length(), &packet, &key);
  const bool v4 = packet.kind == FrameKind::kIpv4;
  // The TTL is reset before each rewrite, so that it never reaches 0. The checksum may become
  // wrong.
  const size_t ttl_offset = packet.l3_offset + (v4 ? 8U : 7U);
  RewriteDsr(frames.at(0), packet, kMacB, SourceMac::Of(kMacA));
  const bool right = frames.at(0)[ttl_offset] == 63 && std::memcmp(frames.at(0), kMacB, 6) == 0 &&
                     std::memcmp(frames.at(0) + 6, kMacA, 6) == 0;
  if (!right || (v4 && Checksum(frames.at(0) + packet.l3_offset,
                                packet.l4_offset - size_t{packet.l3_offset}) != 0)) {
    state.SkipWithError("RewriteDsr makes a wrong packet");
    return;
  }
  size_t next = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kBurst; ++i) {
      uint8_t* bytes = frames.at(next + i);
      bytes[ttl_offset] = 64;
      RewriteDsr(bytes, packet, kMacB, SourceMac::Of(kMacA));
    }
    benchmark::ClobberMemory();
    next = next + kBurst == frames.count() ? 0 : next + kBurst;
  }
  ReportPerPacket(state, kBurst);
}

void FullChecksum(State& state) {
  const auto length = static_cast<size_t>(state.range(0));
  Bytes data(length);
  for (size_t i = 0; i < length; ++i) data[i] = static_cast<uint8_t>(i * 7 + 3);
  const uint32_t slow = testing::SlowChecksum(data);
  if (Checksum(data.data(), length) != Be16::FromHost(static_cast<uint16_t>(slow)).raw()) {
    state.SkipWithError("Checksum differs from the slow sum");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(data.data());
    benchmark::DoNotOptimize(Checksum(data.data(), length));
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * state.range(0));
}
BENCHMARK(FullChecksum)->Arg(20)->Arg(60)->Arg(576)->Arg(1500)->Arg(9000)->ArgName("bytes");

void IncrementalChecksum(State& state) {
  if (ChecksumUpdate16(Be16::FromHost(0xdd2f).raw(), 0x5555, Be16::FromHost(0x3285).raw()) != 0) {
    state.SkipWithError("ChecksumUpdate16 differs from the example of RFC 1624");
    return;
  }
  uint16_t checksum = 0x1234;
  uint16_t from = 0x4006;
  for (auto _ : state) {  // each update needs the last result: latency, not throughput
    const auto to = static_cast<uint16_t>(from - 1);
    checksum = ChecksumUpdate16(checksum, from, to);
    from = to;
    benchmark::DoNotOptimize(checksum);
  }
}
BENCHMARK(IncrementalChecksum);

void Register() {
  for (const Form& form : Forms()) {
    const std::string parse = std::string("Parse/") + form.name;
    const std::string rewrite = std::string("RewriteDsr/") + form.name;
    auto* parse_rows = benchmark::RegisterBenchmark(
        parse.c_str(), [form](State& state) { ParseBursts<ParseFrame>(state, form.frame); });
    parse_rows->ArgName("frames")->Arg(32)->Arg(4096)->Arg(262144);
    // The baseline of ParseFrame's inlined path.
    const std::string general = std::string("ParseGeneral/") + form.name;
    benchmark::RegisterBenchmark(
        general.c_str(),
        [form](State& state) { ParseBursts<parse_internal::ParseFrameGeneral>(state, form.frame); })
        ->ArgName("frames")
        ->Arg(32);
    auto* rewrite_rows = benchmark::RegisterBenchmark(
        rewrite.c_str(), [form](State& state) { RewriteBursts(state, form.frame); });
    rewrite_rows->ArgName("frames")->Arg(32)->Arg(4096)->Arg(262144);
  }
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  fairlead::Register();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
