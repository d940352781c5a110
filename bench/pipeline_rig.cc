#include "bench/pipeline_rig.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_mempool.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <random>

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include "dataplane/worker/frames.h"
#include "lib/mode/mode.h"
#include "lib/net/checksum.h"
#include "lib/net/headers.h"
#include "lib/snapshot/view.h"
#include "lib/table/select.h"

namespace fairlead::bench {
namespace {

constexpr uint16_t kMtu = 1600;
constexpr uint32_t kPoolBuffers = 262'144 + 4096;
constexpr uint32_t kBufferDataBytes = 2048 + RTE_PKTMBUF_HEADROOM;
constexpr uint32_t kScatter = 2654435761U;  // odd: walks through all residues of a power of two
constexpr uint8_t kPortMac[6] = {2, 0, 0, 0, 0, 1};
constexpr uint32_t kFrontendV4 = 0x64400000;  // 100.64.0.0 and up
constexpr uint16_t kFrontendPort = 80;
constexpr uint16_t kNatPort = 8080;

rte_mempool* pool = nullptr;  // made by StartEal

IpAddress FrontendV4(uint32_t service) {
  const uint32_t number = kFrontendV4 + service;
  return IpAddress::FromV4(
      std::array<uint8_t, 4>{static_cast<uint8_t>(number >> 24), static_cast<uint8_t>(number >> 16),
                             static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)});
}
IpAddress FrontendV6(uint32_t service) {
  std::array<uint8_t, 16> bytes = {0x20, 0x01, 0x0d, 0xb8};
  bytes[14] = static_cast<uint8_t>(service >> 8);
  bytes[15] = static_cast<uint8_t>(service);
  return IpAddress::FromV6(bytes);
}

IpAddress BackendAddress(uint32_t number, bool ipv6) {
  const auto high = static_cast<uint8_t>(number >> 16);
  const auto middle = static_cast<uint8_t>(number >> 8);
  const auto low = static_cast<uint8_t>(number);
  if (!ipv6) return IpAddress::FromV4(std::array<uint8_t, 4>{10, high, middle, low});
  return IpAddress::FromV6(
      std::array<uint8_t, 16>{0x20, 1, 0xd, 0xb8, 0, 0xa, 0, 0, 0, 0, 0, 0, 0, high, middle, low});
}

SnapshotService MakeService(const Setting& setting, uint32_t s) {
  SnapshotService service;
  service.id = s + 1;
  service.name = "s" + std::to_string(100'000 + s);  // names sort in the order of the ids
  const ModeDescriptor& mode = ModeOf(setting.mode);
  const bool nat = mode.rewrites_destination();  // a frontend and its backends are of one family
  if (!nat || !setting.ipv6) service.frontends = {{FrontendV4(s), kFrontendPort, Protocol::kTcp}};
  if (!nat || setting.ipv6) {
    service.frontends.push_back({FrontendV6(s), kFrontendPort, Protocol::kTcp});
  }
  service.mode = setting.mode;
  service.gue_port = mode.default_gue_port;
  service.tracking_tcp = setting.tracking;
  if (setting.observe) service.flags |= kServiceFollowHandshakes;
  for (uint32_t b = 0; b < setting.backends; ++b) {
    const uint32_t number = s * setting.backends + b;
    SnapshotBackend backend;
    backend.id = number + 1;
    backend.endpoint.address = BackendAddress(number, nat && setting.ipv6);
    if (nat) backend.endpoint.port = kNatPort;
    SnapshotNextHop hop;
    hop.mac = {{2, 1, 0, static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 8),
                static_cast<uint8_t>(number)}};
    backend.next_hop = hop;
    service.backends.push_back(backend);
  }
  return service;
}

// Sets the weights before or after a change that gives about `percent` of the slots another owner.
// No old owner is removed: that share of the backends joins. If all slots change, one half of the
// backends takes over from the other half.
void SetWeights(uint32_t percent, bool after, SnapshotInput* input) {
  for (SnapshotService& service : input->services) {
    const auto count = static_cast<uint32_t>(service.backends.size());
    for (uint32_t b = 0; b < count; ++b) {
      const bool joins = percent == 100 ? b >= count / 2 : b < count * percent / 100;
      const bool leaves = percent == 100 && !joins;
      service.backends[b].weight = (after ? leaves : joins) ? 0 : 1;
    }
  }
}

uint32_t L3Bytes(bool ipv6) { return ipv6 ? sizeof(Ipv6Header) : sizeof(Ipv4Header); }

void FillIp(const Setting& setting, uint32_t payload_bytes, uint8_t* ip_bytes) {
  if (setting.ipv6) {
    auto* const ip = reinterpret_cast<Ipv6Header*>(ip_bytes);
    const IpAddress client = IpAddress::Parse("2001:db8:1::").value();
    ip->version_class_flow = Be32::FromHost(0x60000000);
    ip->payload_length = Be16::FromHost(static_cast<uint16_t>(payload_bytes));
    ip->next_header = kIpProtoTcp;
    ip->hop_limit = 64;
    std::memcpy(ip->source, client.wire().data(), 16);
    return;
  }
  auto* const ip = reinterpret_cast<Ipv4Header*>(ip_bytes);
  ip->version_ihl = 0x45;
  ip->total_length = Be16::FromHost(static_cast<uint16_t>(sizeof(Ipv4Header) + payload_bytes));
  ip->ttl = 64;
  ip->protocol = kIpProtoTcp;
}

// Makes a frame without its flow, which SetFlow adds. If the frame would be shorter than its
// headers, it gets their length.
std::vector<uint8_t> MakeFrame(const Setting& setting) {
  const size_t l4 = sizeof(EthernetHeader) + L3Bytes(setting.ipv6);
  const size_t headers = l4 + sizeof(TcpHeader);
  std::vector<uint8_t> frame(std::max<size_t>(headers, setting.frame_bytes - 4));
  std::memcpy(frame.data(), kPortMac, sizeof(kPortMac));
  auto* const ethernet = reinterpret_cast<EthernetHeader*>(frame.data());
  ethernet->source[0] = 2;
  ethernet->ether_type = Be16::FromHost(setting.ipv6 ? kEtherTypeIpv6 : kEtherTypeIpv4);
  // 60 bytes include 6 of padding, as in a real ACK of minimum size.
  const bool padded = setting.frame_bytes <= 64;
  FillIp(setting, static_cast<uint32_t>((padded ? headers : frame.size()) - l4),
         frame.data() + sizeof(EthernetHeader));
  auto* const tcp = reinterpret_cast<TcpHeader*>(frame.data() + l4);
  tcp->destination_port = Be16::FromHost(kFrontendPort);
  tcp->data_offset = 0x50;
  tcp->flags = setting.syn_flood ? kTcpSyn : kTcpAck;
  return frame;
}

// The table is at most a third full when every flow is recorded. A flood fills it and then
// displaces records.
uint64_t RecordsFor(const Setting& setting) {
  if (setting.tracking == Tracking::kNone) return 1024;
  return std::bit_ceil(std::max(uint64_t{setting.flows} * 3, uint64_t{1} << 16));
}

// Allocates the pool's memory on huge pages if possible. Without hugetlbfs EAL's memory is on small
// pages, and the bench would measure the TLB.
rte_mempool* MakePool() {
  constexpr size_t kHuge = size_t{2} << 20;
  const uint32_t element = sizeof(rte_mbuf) + kBufferDataBytes;
  rte_mempool* const made =
      rte_mempool_create_empty("bench", kPoolBuffers, element, 0, sizeof(rte_pktmbuf_pool_private),
                               0, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (made == nullptr || rte_mempool_set_ops_byname(made, "ring_mp_mc", nullptr) != 0) {
    return nullptr;
  }
  rte_pktmbuf_pool_private pool_data = {};
  pool_data.mbuf_data_room_size = kBufferDataBytes;
  rte_pktmbuf_pool_init(made, &pool_data);
  const size_t each = made->header_size + made->elt_size + made->trailer_size;
  const size_t bytes = (kPoolBuffers * each / kHuge + 2) * kHuge;
  void* const memory = std::aligned_alloc(kHuge, bytes);
  if (memory == nullptr) return nullptr;
  madvise(memory, bytes, MADV_HUGEPAGE);
  const int populated = rte_mempool_populate_iova(made, static_cast<char*>(memory), RTE_BAD_IOVA,
                                                  bytes, nullptr, nullptr);
  if (populated < static_cast<int>(kPoolBuffers)) return nullptr;
  rte_mempool_obj_iter(made, rte_pktmbuf_init, nullptr);
  return made;
}

const char* NameOf(Tracking tracking) {
  return tracking == Tracking::kNone ? "none" : tracking == Tracking::kAll ? "all" : "adaptive";
}

}  // namespace

std::string Setting::Name() const {
  std::string name =
      std::string(ipv6 ? "v6/" : "v4/") + std::string(ModeOf(mode).name) +
      (observe ? "/observe/" : "/") + NameOf(tracking) + "/" + std::to_string(frame_bytes) +
      "B/flows:" + std::to_string(flows) + "/backends:" + std::to_string(backends) +
      "/services:" + std::to_string(services) + "/buffers:" + std::to_string(buffers);
  if (shifting_percent != 0) name += "/shifting:" + std::to_string(shifting_percent);
  if (syn_flood) name += "/syn_flood";
  if (received != kMaxBatch) name += "/received:" + std::to_string(received);
  return name;
}

bool StartEal() {
  const char* arguments[] = {"pipeline",       "--no-huge", "--no-shconf", "--no-pci",
                             "--no-telemetry", "-m",        "64",          "--log-level=*:error"};
  // EAL reorders and keeps the arguments, so they must live as long as the process.
  static std::vector<std::string> strings(std::begin(arguments), std::end(arguments));
  static std::vector<char*> argv;
  argv.reserve(strings.size() + 1);
  for (std::string& text : strings) argv.push_back(text.data());
  argv.push_back(nullptr);
  if (rte_eal_init(static_cast<int>(strings.size()), argv.data()) < 0) return false;
  pool = MakePool();
  return pool != nullptr;
}

Rig::Rig(const Setting& setting)
    : setting_(setting),
      flow_records_(RecordsFor(setting)),
      memory_(FlowMemory::Allocate(FlowTable::BytesNeeded(flow_records_)).value()),
      flows_(FlowTable::Format(memory_.bytes(), flow_records_)),
      counters_(WorkerCounters::Create().value()),
      frame_(MakeFrame(setting)),
      header_bytes_(static_cast<uint32_t>(sizeof(EthernetHeader) + L3Bytes(setting.ipv6) +
                                          sizeof(TcpHeader))) {
  BuildTables();
  // kMtu leaves space for tunnel headers around the largest frames.
  views_ = {PortView::Make({{2, 0, 0, 0, 0, 1}}, {}, kMtu)};
  context_.tables = tables_.get();
  context_.flows = &flows_;
  context_.ports = views_;
  context_.counters = &counters_;
  context_.handshakes = &handshakes_;
  context_.now_tick = 1000;
  TakeBuffers();
}

Rig::~Rig() { rte_pktmbuf_free_bulk(buffers_.data(), static_cast<unsigned>(buffers_.size())); }

void Rig::BuildTables() {
  SnapshotInput input{.generation = 1, .hash_seed = 42, .services = {}};
  for (uint32_t s = 0; s < setting_.services; ++s) {
    input.services.push_back(MakeService(setting_, s));
  }
  const std::vector<EgressPort> egress = {
      {"wan",
       {{2, 0, 0, 0, 0, 1}},
       kMtu,
       {IpAddress::Parse("192.0.2.1").value(), IpAddress::Parse("2001:db8:f::1").value()}}};
  const auto build = [&] {
    const SnapshotImage image = BuildSnapshot(input).value();
    tables_ =
        ForwardingTables::Build(SnapshotView(image.bytes()), {tables_.get(), context_.now_tick},
                                egress, &backend_indices_, &service_indices_, nullptr)
            .value();
  };
  if (setting_.shifting_percent != 0) {
    SetWeights(setting_.shifting_percent, /*after=*/false, &input);
    build();
    SetWeights(setting_.shifting_percent, /*after=*/true, &input);
    ++input.generation;
  }
  build();
}

// Shuffles the buffers, so that no prefetcher can follow, as in a pool after some minutes of
// traffic.
void Rig::TakeBuffers() {
  buffers_.resize(setting_.buffers);
  if (rte_pktmbuf_alloc_bulk(pool, buffers_.data(), setting_.buffers) != 0) std::abort();
  std::mt19937 random(1);
  std::shuffle(buffers_.begin(), buffers_.end(), random);
  for (rte_mbuf* buffer : buffers_) {
    std::memcpy(rte_pktmbuf_mtod(buffer, uint8_t*), frame_.data(), frame_.size());
  }
  for (uint32_t next = 0; next < setting_.buffers; next += kMaxBurst) Prepare(next);
}

// Makes the buffer an incoming frame of that flow (again).
void Rig::SetFlow(uint32_t index, uint32_t flow) {
  rte_mbuf* const buffer = buffers_[index];
  buffer->data_off = RTE_PKTMBUF_HEADROOM;
  buffer->data_len = static_cast<uint16_t>(frame_.size());
  buffer->pkt_len = buffer->data_len;
  uint8_t* const frame = FrameOf(index);
  std::memcpy(frame, frame_.data(), header_bytes_);
  uint8_t* const ip = frame + sizeof(EthernetHeader);
  const Be32 client = Be32::FromHost(0x0b000000 + (flow >> 4));  // 11.0.0.0 and up
  const Be16 port = Be16::FromHost(static_cast<uint16_t>(1024 + (flow & 15)));
  const uint32_t service = flow % setting_.services;
  const IpAddress frontend = setting_.ipv6 ? FrontendV6(service) : FrontendV4(service);
  std::memcpy(ip + (setting_.ipv6 ? 20 : 12), &client, sizeof(client));
  std::memcpy(ip + (setting_.ipv6 ? 24 : 16), frontend.wire().data(), frontend.wire().size());
  std::memcpy(ip + L3Bytes(setting_.ipv6), &port, sizeof(port));
}

// Gives the burst's buffers the next flows: all flows in turn, scattered, or in a flood always new
// flows.
void Rig::Prepare(uint32_t first) {
  for (uint32_t i = first; i < first + kMaxBurst; ++i) {
    const uint32_t scattered = next_flow_++ * kScatter;
    const auto flow = static_cast<uint32_t>((uint64_t{scattered} * setting_.flows) >> 32);
    SetFlow(i, setting_.syn_flood ? scattered : flow);
  }
}

std::string Rig::WarmUpAndCheck() {
  for (uint32_t flow = 0; flow < setting_.flows; flow += kMaxBurst) {
    for (uint32_t i = 0; i < kMaxBurst; ++i) SetFlow(i, flow + i);
    FillBurst(buffers_.data(), kMaxBurst, 0, context_.hints, &burst_);
    ProcessBurst(context_, burst_);
    for (uint32_t i = 0; i < kMaxBurst; ++i) {
      if ((flow + i) % 61 != 0) continue;
      if (std::string wrong = CheckPacket(i); !wrong.empty()) return wrong;
    }
  }
  if (setting_.tracking == Tracking::kAll) {
    const uint64_t rounded = (uint64_t{setting_.flows} + kMaxBurst - 1) / kMaxBurst * kMaxBurst;
    if (counters_.new_flows + counters_.untracked != rounded) return "flows are not recorded";
  }
  if (setting_.tracking == Tracking::kNone && counters_.new_flows != 0) return "flows are recorded";
  Prepare(0);
  return "";
}

// Checks a packet by the slot table, without the stages. All modes send to the backend's MAC.
std::string Rig::CheckPacket(uint32_t i) const {
  if (burst_.verdict[i] != Verdict::kForward) return "a packet is not forwarded";
  const ServiceEntry& service = tables_->services()[burst_.service[i]];
  const FlowHash hash = HashFlow(burst_.key[i], tables_->hash_seed());
  const Slot slot = service.slot_table->Load(SlotIndex(hash, service.slot_count));
  const uint16_t owner = slot.state == SlotState::kShifting ? slot.stable : slot.current;
  const BackendEntry& backend = tables_->backends()[service.first_backend + owner];
  if (std::memcmp(burst_.frame[i], backend.destination_mac, 6) != 0) {
    return "a packet goes to another backend than its slot's";
  }
  const uint8_t* const ip = burst_.frame[i] + sizeof(EthernetHeader);
  const ModeDescriptor& mode = ModeOf(setting_.mode);
  if (mode.is_tunnel()) return CheckTunnel(ip, backend);
  const uint8_t ttl = mode.decrements_ttl ? 63 : 64;
  if (ip[setting_.ipv6 ? 7 : 8] != ttl) return "the TTL is not what the mode leaves";
  return mode.rewrites_destination() ? CheckTranslated(ip, backend) : "";
}

// Checks that the outer header is IPv4 to the backend with a right checksum, and that the inner
// packet is unchanged.
std::string Rig::CheckTunnel(const uint8_t* ip, const BackendEntry& backend) const {
  const bool gue = ModeOf(setting_.mode).default_gue_port != 0;  // UDP between the IP headers
  const uint8_t inner_protocol = setting_.ipv6 ? 41 : 4;
  if (ip[0] != 0x45 || Checksum(ip, sizeof(Ipv4Header)) != 0 ||
      std::memcmp(ip + 16, backend.address, 4) != 0 ||
      ip[9] != (gue ? uint8_t{kIpProtoUdp} : inner_protocol)) {
    return "the outer header is wrong";
  }
  const uint8_t* const inner = ip + ModeOf(setting_.mode).OverheadOf(Family::kIpv4, 0);
  if (gue && inner[-3] != inner_protocol) return "GUE's header is wrong";
  // Compares the headers except what SetFlow writes into them.
  const uint32_t fixed = setting_.ipv6 ? 20 : 12;
  if (std::memcmp(inner, frame_.data() + sizeof(EthernetHeader), fixed) != 0) {
    return "the inner packet is changed";
  }
  return "";
}

std::string Rig::CheckTranslated(const uint8_t* ip, const BackendEntry& backend) const {
  const uint32_t destination = setting_.ipv6 ? 24 : 16;
  const Be16 port = Be16::FromHost(kNatPort);
  if (std::memcmp(ip + destination, backend.address, setting_.ipv6 ? 16 : 4) != 0 ||
      std::memcmp(ip + L3Bytes(setting_.ipv6) + 2, &port, sizeof(port)) != 0) {
    return "a packet is not translated";
  }
  return "";
}

// A separate function, so that bench/instructions.sh can count it.
[[gnu::noinline]] void Rig::TakeFrames(const Burst& burst) {
  for (uint32_t i = 0; i < burst.count; ++i) ::benchmark::DoNotOptimize(TakeFrame(burst, i));
}

uint64_t Rig::RunBatch() {
  rte_mbuf** const buffers = &buffers_[next_buffer_];
  const uint64_t start = rte_rdtsc_precise();
  ProcessBatch(buffers, batch(), 0, context_, burst_, TakeFrames);
  const uint64_t cycles = rte_rdtsc_precise() - start;
  for (uint32_t done = 0; done < batch(); done += kMaxBurst) Prepare(next_buffer_ + done);
  next_buffer_ = (next_buffer_ + batch()) % setting_.buffers;
  return cycles;
}

uint64_t Rig::not_forwarded() const {
  uint64_t sum = counters_.totals.to_kernel + counters_.totals.generated;
  for (const uint64_t count : counters_.totals.drops) sum += count;
  return sum;
}

}  // namespace fairlead::bench
