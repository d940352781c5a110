// What a worker spends on a packet between receiving and sending: FillBurst, ProcessBurst and
// TakeFrame on real mbufs, one burst of 32 an iteration, one core. The driver's share is not in it.
//
//   family / tracking / flows / backends / buffers
//
// Flows take turns in a scattered order, all settled (and recorded, where the service tracks). Frames
// are the smallest TCP ACKs: 64 bytes on the wire for IPv4, 78 for IPv6. `hot` processes the same 32
// buffers again and again, as a NIC with direct cache access does at its best; `cold` goes through
// 65536 of them, 150 MB, so that every header comes from beyond L2 (and L3, where that is smaller).
//
// ns_per_packet and cycles_per_packet are of the median burst: a neighbour that takes the core away for
// a few milliseconds, or a timer interrupt, falls on few bursts and moves the mean, not the median.
// `spread` is how much longer than the median the slowest tenth takes, in per cent.
//
// Before a row is timed, every 61st flow is sent through and must come out with the MAC of the
// backend that Maglev's slot table names.
#include "dataplane/pipeline/pipeline.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "dataplane/manage/flow_memory.h"
#include "dataplane/worker/frames.h"
#include "lib/net/headers.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/view.h"
#include "lib/table/select.h"

namespace fairlead {
namespace {

using benchmark::State;

constexpr uint32_t kColdBuffers = 65536;
constexpr uint32_t kFlowRecords = 1U << 22;  // a million flows fill a quarter
constexpr uint32_t kScatter = 2654435761U;   // odd: walks through all residues of a power of two
constexpr uint8_t kPortMac[6] = {2, 0, 0, 0, 0, 1};

rte_mempool* pool = nullptr;  // made by main

struct Setting {
  bool ipv6;
  Tracking tracking;
  uint32_t flows;
  uint32_t backends;
  bool cold;
};

std::string NameOf(const Setting& setting) {
  return std::string(setting.ipv6 ? "v6" : "v4") + "/" +
         (setting.tracking == Tracking::kNone ? "none" : "all") +
         "/flows:" + std::to_string(setting.flows) +
         "/backends:" + std::to_string(setting.backends) + (setting.cold ? "/cold" : "/hot");
}

SnapshotImage MakeImage(const Setting& setting) {
  SnapshotInput input{.generation = 1, .hash_seed = 42, .services = {}};
  SnapshotService service;
  service.id = 1;
  service.name = "web";
  service.frontends = {Frontend::Parse("203.0.113.10:80/tcp").value(),
                       Frontend::Parse("[2001:db8::10]:80/tcp").value()};
  service.tracking_tcp = setting.tracking;
  for (uint32_t i = 0; i < setting.backends; ++i) {
    SnapshotBackend backend;
    backend.id = i + 1;
    backend.endpoint.address = IpAddress::FromV4(
        std::array<uint8_t, 4>{10, 0, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)});
    SnapshotNextHop hop;
    hop.mac = {{2, 1, 0, 0, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)}};
    backend.next_hop = hop;
    service.backends.push_back(backend);
  }
  input.services.push_back(std::move(service));
  return BuildSnapshot(input).value();
}

// A TCP ACK to the frontend. Its flow is written into it by SetFlow.
std::vector<uint8_t> MakeFrame(bool ipv6) {
  const size_t l3 = sizeof(EthernetHeader);
  const size_t l4 = l3 + (ipv6 ? sizeof(Ipv6Header) : sizeof(Ipv4Header));
  std::vector<uint8_t> frame(std::max<size_t>(l4 + sizeof(TcpHeader), 60));
  std::memcpy(frame.data(), kPortMac, sizeof(kPortMac));
  auto* const ethernet = reinterpret_cast<EthernetHeader*>(frame.data());
  ethernet->source[0] = 2;
  ethernet->ether_type = Be16::FromHost(ipv6 ? kEtherTypeIpv6 : kEtherTypeIpv4);
  if (ipv6) {
    auto* const ip = reinterpret_cast<Ipv6Header*>(frame.data() + l3);
    const IpAddress frontend = IpAddress::Parse("2001:db8::10").value();
    const IpAddress client = IpAddress::Parse("2001:db8:1::").value();
    ip->version_class_flow = Be32::FromHost(0x60000000);
    ip->payload_length = Be16::FromHost(sizeof(TcpHeader));
    ip->next_header = kIpProtoTcp;
    ip->hop_limit = 64;
    std::memcpy(ip->source, client.wire().data(), 16);
    std::memcpy(ip->destination, frontend.wire().data(), 16);
  } else {
    auto* const ip = reinterpret_cast<Ipv4Header*>(frame.data() + l3);
    ip->version_ihl = 0x45;
    ip->total_length = Be16::FromHost(sizeof(Ipv4Header) + sizeof(TcpHeader));
    ip->ttl = 64;
    ip->protocol = kIpProtoTcp;
    ip->destination = Be32::FromHost(0xcb00710a);  // 203.0.113.10
  }
  auto* const tcp = reinterpret_cast<TcpHeader*>(frame.data() + l4);
  tcp->destination_port = Be16::FromHost(80);
  tcp->data_offset = 0x50;
  tcp->flags = kTcpAck;
  return frame;
}

// Makes the frame (again) the one that comes in: what dsr changed, and another flow.
void SetFlow(uint8_t* frame, bool ipv6, uint32_t flow) {
  std::memcpy(frame, kPortMac, sizeof(kPortMac));
  uint8_t* const ip = frame + sizeof(EthernetHeader);
  const Be32 client = Be32::FromHost(0x0b000000 + (flow >> 4));  // 11.0.0.0 and up
  const Be16 port = Be16::FromHost(static_cast<uint16_t>(1024 + (flow & 15)));
  ip[ipv6 ? 7 : 8] = 64;
  std::memcpy(ip + (ipv6 ? 20 : 12), &client, sizeof(client));
  std::memcpy(ip + (ipv6 ? 40 : 20), &port, sizeof(port));
}

// Tables, context and buffers of one row.
class Rig {
 public:
  explicit Rig(const Setting& setting)
      : setting_(setting),
        memory_(FlowMemory::Allocate(FlowTable::BytesNeeded(kFlowRecords)).value()),
        flows_(FlowTable::Format(memory_.bytes(), kFlowRecords)),
        counters_(WorkerCounters::Create().value()),
        frame_(MakeFrame(setting.ipv6)) {
    const SnapshotImage image = MakeImage(setting);
    const std::vector<EgressPort> egress = {{"wan", {{2, 0, 0, 0, 0, 1}}}};
    tables_ = ForwardingTables::Build(SnapshotView(image.bytes()), nullptr, egress, &backend_slots_,
                                      &service_slots_, nullptr)
                  .value();
    views_ = {PortView::Make({{2, 0, 0, 0, 0, 1}}, {}, 1500)};
    context_.tables = tables_.get();
    context_.flows = &flows_;
    context_.ports = views_;
    context_.counters = &counters_;
    context_.now_tick = 1000;
    buffers_.resize(setting.cold ? kColdBuffers : kMaxBurst);
    if (rte_pktmbuf_alloc_bulk(pool, buffers_.data(), static_cast<unsigned>(buffers_.size()))) {
      std::abort();
    }
    for (rte_mbuf* buffer : buffers_) {
      buffer->data_len = static_cast<uint16_t>(frame_.size());
      buffer->pkt_len = buffer->data_len;
      std::memcpy(rte_pktmbuf_mtod(buffer, uint8_t*), frame_.data(), frame_.size());
    }
    for (uint32_t next = 0; next < buffers_.size(); next += kMaxBurst) Prepare(next);
  }
  ~Rig() { rte_pktmbuf_free_bulk(buffers_.data(), static_cast<unsigned>(buffers_.size())); }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  // Every flow once, so that what is to be recorded is; checks some. "" = all is right.
  std::string WarmUpAndCheck() {
    for (uint32_t flow = 0; flow < setting_.flows; flow += kMaxBurst) {
      for (uint32_t i = 0; i < kMaxBurst; ++i) SetFlow(FrameOf(i), setting_.ipv6, flow + i);
      ProcessFirst();
      for (uint32_t i = 0; i < kMaxBurst; ++i) {
        if ((flow + i) % 61 != 0) continue;
        if (burst_.verdict[i] != Verdict::kForward) return "a packet is not forwarded";
        if (std::memcmp(burst_.frame[i], Expected(burst_.key[i]).destination_mac, 6) != 0) {
          return "a packet goes to another backend than its slot's";
        }
      }
    }
    const uint64_t recorded = setting_.tracking == Tracking::kNone ? 0 : setting_.flows;
    if (counters_.new_flows + counters_.untracked != recorded) return "flows are not recorded";
    Prepare(0);
    return "";
  }

  // One burst; the cycles that it took.
  uint64_t RunBurst() {
    rte_mbuf** const buffers = &buffers_[next_buffer_];
    const uint64_t start = rte_rdtsc_precise();
    FillBurst(buffers, kMaxBurst, 0, &burst_);
    ProcessBurst(context_, burst_);
    for (uint32_t i = 0; i < kMaxBurst; ++i) benchmark::DoNotOptimize(TakeFrame(burst_, i));
    const uint64_t cycles = rte_rdtsc_precise() - start;
    Prepare(next_buffer_);
    next_buffer_ = (next_buffer_ + kMaxBurst) % static_cast<uint32_t>(buffers_.size());
    return cycles;
  }

  uint64_t drops() const {
    uint64_t sum = 0;
    for (const uint64_t count : counters_.totals.drops) sum += count;
    return sum + counters_.totals.to_kernel;
  }

 private:
  uint8_t* FrameOf(uint32_t buffer) { return rte_pktmbuf_mtod(buffers_[buffer], uint8_t*); }

  // Gives the burst's buffers the flows that come next.
  void Prepare(uint32_t first) {
    for (uint32_t i = first; i < first + kMaxBurst; ++i) {
      const uint32_t scattered = next_flow_++ * kScatter;
      const auto flow = static_cast<uint32_t>((uint64_t{scattered} * setting_.flows) >> 32);
      SetFlow(FrameOf(i), setting_.ipv6, flow);
    }
  }
  void ProcessFirst() {
    FillBurst(buffers_.data(), kMaxBurst, 0, &burst_);
    ProcessBurst(context_, burst_);
  }
  // By the slot table, not by the stages.
  const BackendEntry& Expected(const FlowKey& key) const {
    const ServiceEntry& service = tables_->services()[0];
    const FlowHash hash = HashFlow(key, tables_->hash_seed());
    const Slot slot = service.slot_table->Load(SlotIndex(hash, service.slot_count));
    return tables_->backends()[service.first_backend + slot.current];
  }

  Setting setting_;
  FlowMemory memory_;
  FlowTable flows_;
  WorkerCounters counters_;
  std::vector<uint8_t> frame_;
  CounterSlots backend_slots_{4096};
  CounterSlots service_slots_{16};
  std::unique_ptr<ForwardingTables> tables_;
  std::vector<PortView> views_;
  PipelineContext context_;
  Burst burst_;
  std::vector<rte_mbuf*> buffers_;
  uint32_t next_buffer_ = 0;
  uint32_t next_flow_ = 0;
};

void RunRow(State& state, const Setting& setting) {
  Rig rig(setting);
  if (const std::string wrong = rig.WarmUpAndCheck(); !wrong.empty()) {
    state.SkipWithError(wrong.c_str());
    return;
  }
  const double hz = static_cast<double>(rte_get_tsc_hz());
  std::vector<uint64_t> cycles;
  for (auto _ : state) {
    cycles.push_back(rig.RunBurst());
    state.SetIterationTime(static_cast<double>(cycles.back()) / hz);
  }
  if (rig.drops() != 0) state.SkipWithError("packets were dropped while timing");
  std::sort(cycles.begin(), cycles.end());
  const double median = static_cast<double>(cycles[cycles.size() / 2]) / kMaxBurst;
  const double slow = static_cast<double>(cycles[cycles.size() * 9 / 10]) / kMaxBurst;
  state.counters["cycles_per_packet"] = median;
  state.counters["ns_per_packet"] = median / hz * 1e9;
  state.counters["spread"] = (slow / median - 1) * 100;
}

void RegisterRows() {
  for (const bool ipv6 : {false, true}) {
    for (const Tracking tracking : {Tracking::kNone, Tracking::kAll}) {
      for (const uint32_t flows : {1024U, 102400U, 1024000U}) {
        for (const uint32_t backends : {10U, 100U, 1000U}) {
          for (const bool cold : {false, true}) {
            // The cross of all would take half an hour: vary one thing at a time around the middle.
            const int unusual = (flows != 1024000U) + (backends != 100U) + cold;
            if (unusual > 1) continue;
            const Setting setting{ipv6, tracking, flows, backends, cold};
            benchmark::RegisterBenchmark(NameOf(setting).c_str(), [setting](State& state) {
              RunRow(state, setting);
            })->UseManualTime();
          }
        }
      }
    }
  }
}

bool StartEal() {
  const char* arguments[] = {"pipeline",       "--no-huge", "--no-shconf", "--no-pci",
                             "--no-telemetry", "-m",        "320",         "--log-level=*:error"};
  // EAL reorders and keeps them: they live as long as the process.
  static std::vector<std::string> strings(std::begin(arguments), std::end(arguments));
  static std::vector<char*> argv;
  for (std::string& text : strings) argv.push_back(text.data());
  argv.push_back(nullptr);
  if (rte_eal_init(static_cast<int>(strings.size()), argv.data()) < 0) return false;
  pool = rte_pktmbuf_pool_create("bench", kColdBuffers + 4096, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                 SOCKET_ID_ANY);
  return pool != nullptr;
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  if (!fairlead::StartEal()) {
    std::fprintf(stderr, "pipeline: EAL does not start, or there is no memory for the buffers\n");
    return 1;
  }
  fairlead::RegisterRows();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
