// The cost of rewriting a packet, per packet, on one core: tunnels and nat, with dsr as the
// baseline, and the rarer work on ICMP errors and fragments.
//
// Each row first compares its result with a packet made byte by byte. If they differ, it reports an
// error and no figure. `frames:N` is the working set: 32 frames stay in L1, 4096 in L2/L3, 262144
// (64 MB at 256 bytes a frame) come from memory.
#include <cstring>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "lib/encap/dsr.h"
#include "lib/encap/nat.h"
#include "lib/encap/nat_icmp.h"
#include "lib/encap/tunnel.h"
#include "lib/flow/fragment_store.h"
#include "lib/net/fragment_cut.h"
#include "lib/net/icmp_error.h"
#include "lib/net/icmp_generate.h"
#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using benchmark::State;
using slow::Bytes;
using slow::operator+;

constexpr size_t kBurst = 32;
constexpr size_t kStride = 256;
constexpr uint32_t kHeadroom = 128;
constexpr uint8_t kNextHop[8] = {2, 0, 0, 0, 0, 0xb};
constexpr uint8_t kPort[6] = {2, 0, 0, 0, 0, 0xa};
const Bytes kMacs = {2, 0, 0, 0, 0, 0xb, 2, 0, 0, 0, 0, 0xa};
const Bytes kOwn4 = {192, 0, 2, 1};
const Bytes kBackend4 = {10, 0, 0, 11};
const Bytes kOwn6 = {0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
const Bytes kBackend6 = {0x20, 1, 0xd, 0xb8, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11};

IpAddress AddressOf(const Bytes& bytes) {
  return bytes.size() == 4 ? IpAddress::FromV4(std::span<const uint8_t, 4>(bytes.data(), 4))
                           : IpAddress::FromV6(std::span<const uint8_t, 16>(bytes.data(), 16));
}
const Bytes& BackendOf(Family family) { return family == Family::kIpv4 ? kBackend4 : kBackend6; }

// A TCP packet of minimum size; ports 40000 -> `port`.
Bytes Packet(Family family, const Bytes& destination, uint16_t port, uint8_t ttl) {
  if (family == Family::kIpv4) {
    const slow::Ip4 ip{.destination = destination, .protocol = 6, .ttl = ttl};
    return slow::MakeIp4(ip, slow::MakeTcp(ip.source, destination, 16, {}, Bytes(6), 40000, port));
  }
  const slow::Ip6 ip{.destination = destination, .next_header = 6, .hop_limit = ttl};
  return slow::MakeIp6(ip, slow::MakeTcp(ip.source, destination, 16, {}, Bytes(6), 40000, port));
}
Bytes Ethertype(Family family) { return family == Family::kIpv4 ? Bytes{8, 0} : Bytes{0x86, 0xdd}; }
Bytes FrameOf(Family family) {
  const Bytes& frontend =
      family == Family::kIpv4 ? slow::Ip4{}.destination : slow::Ip6{}.destination;
  return slow::Ethernet(slow::Get16(Ethertype(family), 0)) + Packet(family, frontend, 80, 64);
}

ParsedPacket ParseOf(const Bytes& frame) {
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  return packet;
}

// `count` copies of a frame, kStride bytes apart. Each follows kHeadroom free bytes and starts at a
// cache line, as in a packet pool.
class FrameSet {
 public:
  FrameSet(const Bytes& frame, size_t count)
      : memory_((count + 1) * kStride),
        first_(memory_.data() + kStride - reinterpret_cast<uintptr_t>(memory_.data()) % kStride),
        count_(count) {
    for (size_t i = 0; i < count; ++i) std::memcpy(at(i), frame.data(), frame.size());
  }
  uint8_t* at(size_t index) { return first_ + index * kStride + kHeadroom; }
  size_t count() const { return count_; }

 private:
  Bytes memory_;
  uint8_t* first_;
  size_t count_;
};

void ReportPerPacket(State& state, size_t packets_per_iteration) {
  const auto packets =
      static_cast<double>(state.iterations()) * static_cast<double>(packets_per_iteration);
  state.SetItemsProcessed(static_cast<int64_t>(packets));
  state.counters["s/packet"] =
      benchmark::Counter(packets, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// Times `rewrite(frame, i)` over the working set, burst by burst.
template <typename RewriteOne>
void TimeBursts(State& state, FrameSet* frames, RewriteOne&& rewrite) {
  size_t next = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kBurst; ++i) rewrite(frames->at(next + i), next + i);
    benchmark::ClobberMemory();
    next = next + kBurst == frames->count() ? 0 : next + kBurst;
  }
  ReportPerPacket(state, kBurst);
}

// For rewrites in place. Resets the TTL before each rewrite, so that it never reaches 0.
template <typename RewriteOne>
void InPlace(State& state, Family family, const Bytes& expected, RewriteOne&& rewrite) {
  const Bytes frame = FrameOf(family);
  const ParsedPacket packet = ParseOf(frame);
  FrameSet frames(frame, static_cast<size_t>(state.range(0)));
  rewrite(frames.at(0), packet);
  if (Bytes(frames.at(0), frames.at(0) + frame.size()) != expected) {
    state.SkipWithError("the rewritten packet is wrong");
    return;
  }
  const size_t ttl_offset = packet.l3_offset + (family == Family::kIpv4 ? 8U : 7U);
  TimeBursts(state, &frames, [&](uint8_t* bytes, size_t) {
    bytes[ttl_offset] = 64;
    rewrite(bytes, packet);
  });
}

void Dsr(State& state, Family family) {
  const Bytes frame = FrameOf(family);
  const Bytes& frontend =
      family == Family::kIpv4 ? slow::Ip4{}.destination : slow::Ip6{}.destination;
  InPlace(state, family, kMacs + Ethertype(family) + Packet(family, frontend, 80, 63),
          [](uint8_t* bytes, const ParsedPacket& packet) {
            RewriteDsr(bytes, packet, kNextHop, SourceMac::Of(kPort));
          });
}

void NatForward(State& state, Family family) {
  const NatEndpoint backend = NatEndpoint::Make(AddressOf(BackendOf(family)), 8080);
  InPlace(state, family, kMacs + Ethertype(family) + Packet(family, BackendOf(family), 8080, 63),
          [&](uint8_t* bytes, const ParsedPacket& packet) {
            RewriteNatToBackend(bytes, packet, backend, kNextHop, kPort);
          });
}

Bytes Outer(TunnelKind kind, Family inner_family, Family outer_family, const Bytes& inner) {
  const uint8_t inner_protocol = inner_family == Family::kIpv4 ? 4 : 41;
  Bytes payload = inner;
  if (kind == TunnelKind::kGue) {
    Bytes udp = {0xc0, 0, 0x17, 0xc0, 0, 0, 0, 0, 0, inner_protocol, 0, 0};
    slow::Put16(&udp, 4, static_cast<uint32_t>(12 + inner.size()));
    payload = udp + inner;
  }
  const uint8_t protocol = kind == TunnelKind::kGue ? 17 : inner_protocol;
  if (outer_family == Family::kIpv4) {
    return slow::MakeIp4({.source = kOwn4,
                          .destination = kBackend4,
                          .protocol = protocol,
                          .id = 0,
                          .flags_fragment = 0x4000},
                         payload);
  }
  return slow::MakeIp6(
      {.source = kOwn6, .destination = kBackend6, .next_header = protocol, .flow_label = 1},
      payload);
}

void Tunnel(State& state, TunnelKind kind, Family inner, Family outer) {
  TunnelSettings settings;
  settings.kind = kind;
  settings.source = AddressOf(outer == Family::kIpv4 ? kOwn4 : kOwn6);
  settings.destination = AddressOf(BackendOf(outer));
  const TunnelTemplate tunnel = MakeTunnelTemplate(settings).value();
  const Bytes frame = FrameOf(inner);
  const ParsedPacket packet = ParseOf(frame);
  FrameSet frames(frame, static_cast<size_t>(state.range(0)));
  const uint32_t prepended =
      Encapsulate(tunnel, frames.at(0), kHeadroom, packet, 0, kNextHop, kPort);
  const Bytes expected = kMacs + Ethertype(outer) +
                         Outer(kind, inner, outer, slow::Slice(frame, 14, frame.size() - 14));
  if (Bytes(frames.at(0) - prepended, frames.at(0) + frame.size()) != expected) {
    state.SkipWithError("the rewritten packet is wrong");
    return;
  }
  TimeBursts(state, &frames, [&](uint8_t* bytes, size_t i) {
    const uint64_t entropy = i * 0x9e3779b97f4a7c15U;
    benchmark::DoNotOptimize(
        Encapsulate(tunnel, bytes, kHeadroom, packet, entropy, kNextHop, kPort));
  });
}

struct ErrorFrame {
  Bytes frame;
  ParsedPacket packet;
};

// A router's ICMP error about a reply from the frontend.
ErrorFrame RouterError(size_t quoted_payload) {
  const slow::Ip4 in;
  const slow::Ip4 quoted{.source = in.destination, .destination = in.source, .protocol = 6};
  const slow::Ip4 outer{.source = {192, 0, 2, 254}, .destination = in.destination, .protocol = 1};
  const Bytes quote = slow::MakeIp4(
      quoted,
      slow::MakeTcp(in.destination, in.source, 16, {}, slow::Payload(quoted_payload), 80, 40000));
  ErrorFrame error{
      slow::Ethernet(0x0800) + slow::MakeIp4(outer, slow::MakeIcmp4(3, 4, 1400, quote)), {}};
  error.packet = ParseOf(error.frame);
  return error;
}

void ReadError(State& state) {
  const ErrorFrame in = RouterError(static_cast<size_t>(state.range(0)));
  const auto length = static_cast<uint32_t>(in.frame.size());
  IcmpError error;
  if (ReadIcmpError(in.frame.data(), length, in.packet, &error) != DropReason::kNone ||
      error.key.ToString() != "tcp 198.51.100.7:40000 -> 203.0.113.10:80") {
    state.SkipWithError("the error is not read as the client's flow");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(ReadIcmpError(in.frame.data(), length, in.packet, &error));
    benchmark::ClobberMemory();
  }
  ReportPerPacket(state, 1);
}
BENCHMARK(ReadError)->Name("ReadIcmpError/v4")->Arg(0)->Arg(500)->ArgName("quoted");

void NatIcmp(State& state) {
  ErrorFrame in = RouterError(500);
  IcmpError error;
  const auto length = static_cast<uint32_t>(in.frame.size());
  if (ReadIcmpError(in.frame.data(), length, in.packet, &error) != DropReason::kNone) {
    state.SkipWithError("the error is not read");
    return;
  }
  const NatEndpoint backend = NatEndpoint::Make(AddressOf(kBackend4), 8080);
  TranslateIcmpErrorToBackend(in.frame.data(), in.packet, error, backend, kNextHop, kPort);
  IcmpError after;
  if (ReadIcmpError(in.frame.data(), length, in.packet, &after) != DropReason::kNone ||
      after.key.ToString() != "tcp 198.51.100.7:40000 -> 10.0.0.11:8080") {
    state.SkipWithError("the error is not about the backend's flow");
    return;
  }
  for (auto _ : state) {
    in.frame[22] = 64;
    TranslateIcmpErrorToBackend(in.frame.data(), in.packet, error, backend, kNextHop, kPort);
    benchmark::ClobberMemory();
  }
  ReportPerPacket(state, 1);
}
BENCHMARK(NatIcmp)->Name("RewriteIcmpError/v4");

void TooBig(State& state) {
  const slow::Ip4 ip;
  const Bytes frame =
      slow::Ethernet(0x0800) +
      slow::MakeIp4(ip, slow::MakeUdp(ip.source, ip.destination, slow::Payload(1472)));
  const ParsedPacket packet = ParseOf(frame);
  const auto length = static_cast<uint32_t>(frame.size());
  const IpAddress own = AddressOf(kOwn4);
  Bytes out(kMaxIcmpErrorFrame);
  const auto make = [&] {
    return MakeIcmpError(IcmpErrorKind::kTooBig, frame.data(), length, packet, own, MacAddress{},
                         1480, out.data(), kMaxIcmpErrorFrame);
  };
  if (make() != 590 || slow::Sum(slow::Slice(out, 34, 556)) != 0xffff) {
    state.SkipWithError("the ICMP error is wrong");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(make());
    benchmark::ClobberMemory();
  }
  ReportPerPacket(state, 1);
}
BENCHMARK(TooBig)->Name("MakeIcmpError/too_big_v4");

void Cut(State& state) {
  const Bytes packet = slow::MakeIp4({}, slow::Payload(1480));
  FragmentCut cut;
  uint8_t headers[2][kMaxIpv4HeaderBytes];
  const auto work = [&] {
    const DropReason verdict = cut.Plan(packet.data(), 1480);
    for (uint32_t i = 0; i < cut.count() && i < 2; ++i) cut.WriteHeader(i, headers[i]);
    return verdict;
  };
  if (work() != DropReason::kNone || cut.count() != 2 ||
      slow::Sum(Bytes(headers[1], headers[1] + 20)) != 0xffff) {
    state.SkipWithError("not cut into two correct pieces");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(work());
    benchmark::ClobberMemory();
  }
  ReportPerPacket(state, 1);
}
BENCHMARK(Cut)->Name("FragmentCut/two_pieces");

FlowHash Identity(uint64_t n) {
  return {n * 0x9e3779b97f4a7c15U + 1, n * 0xbf58476d1ce4e5b9U >> 20};
}

// Later fragments whose first fragment has arrived, which is the usual case.
void FollowFirst(State& state) {
  const auto datagrams = static_cast<uint64_t>(state.range(0));
  FragmentMap map(static_cast<uint32_t>(datagrams * 4), 1);
  FragmentStore store(&map, {});
  for (uint64_t n = 0; n < datagrams; ++n) store.RecordFirst(Identity(n), n + 1, 0);
  uint64_t where = 0;
  if (store.AddLater(Identity(7), 1, 0, &where) != FragmentStore::Outcome::kForward || where != 8) {
    state.SkipWithError("a later fragment does not follow the first");
    return;
  }
  uint64_t n = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(store.AddLater(Identity(n), 1, 0, &where));
    n = n + 1 == datagrams ? 0 : n + 1;
  }
  ReportPerPacket(state, 1);
}
BENCHMARK(FollowFirst)->Name("Fragments/follow")->Arg(64)->Arg(65536)->ArgName("datagrams");

// Only early fragments, each of a different datagram, so that each displaces an older one.
void Flood(State& state) {
  FragmentMap map(8192, 1);
  FragmentStore store(&map, {});
  uint64_t n = 0;
  uint64_t held = 0;
  uint64_t released_count = 0;
  uint64_t where = 0;
  FragmentStore::Released released;
  for (auto _ : state) {
    for (size_t i = 0; i < kBurst; ++i) {
      if (store.AddLater(Identity(n), n, 0, &where) == FragmentStore::Outcome::kHeld) ++held;
      ++n;
    }
    store.Advance(0);
    while (store.Next(&released)) ++released_count;
  }
  if (held != n || held != released_count + store.waiting()) {
    state.SkipWithError("a fragment was lost");
    return;
  }
  ReportPerPacket(state, kBurst);
}
BENCHMARK(Flood)->Name("Fragments/flood");

// A flood of first fragments. Each replaces an older mapping.
void FloodFirst(State& state) {
  FragmentMap map(8192, 1);
  uint64_t n = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(map.Remember(Identity(n), n + 1, 0));
    ++n;
  }
  if (map.Find(Identity(n - 1), 0) != n) {
    state.SkipWithError("the newest datagram was not recorded");
    return;
  }
  ReportPerPacket(state, 1);
}
BENCHMARK(FloodFirst)->Name("Fragments/flood_first");

const char* NameOf(Family family) { return family == Family::kIpv4 ? "v4" : "v6"; }

void Register() {
  const auto add = [](const std::string& name, auto run) {
    benchmark::RegisterBenchmark(name.c_str(), run)
        ->ArgName("frames")
        ->Arg(32)
        ->Arg(4096)
        ->Arg(262144);
  };
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    add(std::string("Dsr/") + NameOf(family), [=](State& state) { Dsr(state, family); });
    add(std::string("Nat/") + NameOf(family), [=](State& state) { NatForward(state, family); });
    for (const Family outer : {Family::kIpv4, Family::kIpv6}) {
      const std::string shape = std::string(NameOf(family)) + "_in_" + NameOf(outer);
      add("Ipip/" + shape, [=](State& state) { Tunnel(state, TunnelKind::kIpip, family, outer); });
      add("Gue/" + shape, [=](State& state) { Tunnel(state, TunnelKind::kGue, family, outer); });
    }
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
