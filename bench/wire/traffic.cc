#include "bench/wire/traffic.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "lib/mode/mode.h"
#include "lib/net/checksum.h"
#include "lib/net/flow_key.h"
#include "lib/net/headers.h"
#include "lib/snapshot/view.h"
#include "lib/table/select.h"

namespace fairlead::bench {
namespace {

constexpr uint64_t kSeed = 42;
constexpr uint32_t kL3 = sizeof(EthernetHeader);
constexpr uint32_t kL4 = kL3 + sizeof(Ipv4Header);
constexpr uint32_t kData = kL4 + sizeof(TcpHeader);
constexpr uint32_t kStampBytes = 6;
constexpr uint32_t kFrontendBase = 0x64400000;
constexpr uint16_t kPort = 80;
constexpr uint8_t kDestination[6] = {2, 0, 0, 0, 0, 1};

IpAddress V4(uint32_t number) {
  return IpAddress::FromV4(
      std::array<uint8_t, 4>{static_cast<uint8_t>(number >> 24), static_cast<uint8_t>(number >> 16),
                             static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)});
}
uint32_t ClientOf(uint32_t flow) { return 0x0b000000 + (flow >> 4); }
uint16_t PortOf(uint32_t flow) { return static_cast<uint16_t>(1024 + (flow & 15)); }

SnapshotService MakeService(const ImageSetting& setting, uint32_t s, const std::string& egress) {
  SnapshotService service;
  service.id = s + 1;
  service.name = "s" + std::to_string(100'000 + s);
  service.frontends = {{V4(kFrontendBase + s), kPort, Protocol::kTcp}};
  service.mode = setting.mode;
  service.gue_port = ModeOf(setting.mode).default_gue_port;
  service.tracking_tcp = setting.tracking;
  for (uint32_t b = 0; b < setting.backends; ++b) {
    const uint32_t number = s * setting.backends + b;
    SnapshotBackend backend;
    backend.id = number + 1;
    backend.endpoint.address = V4(0x0a000000 + number);
    SnapshotNextHop hop;
    hop.mac = {{2, 1, 0, static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 8),
                static_cast<uint8_t>(number)}};
    hop.interface = egress;
    backend.next_hop = hop;
    service.backends.push_back(backend);
  }
  return service;
}

// The sum of 16-bit words in memory order, not folded. `count` is even.
uint32_t Sum(const uint8_t* bytes, size_t count) {
  uint32_t sum = 0;
  for (size_t i = 0; i < count; i += 2) {
    uint16_t word;
    std::memcpy(&word, bytes + i, 2);
    sum += word;
  }
  return sum;
}
uint16_t Fold(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum + (sum >> 16));
}

}  // namespace

Result<SnapshotImage> MakeWireImage(const ImageSetting& setting, const std::string& egress) {
  SnapshotInput input{.generation = 1, .hash_seed = kSeed, .services = {}};
  for (uint32_t s = 0; s < setting.services; ++s) {
    input.services.push_back(MakeService(setting, s, egress));
  }
  return BuildSnapshot(input);
}

Result<Traffic> Traffic::Make(const TrafficSetting& setting, const SnapshotImage& image) {
  if (setting.flows == 0 || setting.flows > (1U << 28)) {
    return InvalidArgument("flows: " + std::to_string(setting.flows) + " is not within 1..2^28");
  }
  if (setting.frame_bytes < 64 || setting.frame_bytes > 1518 || setting.frame_bytes % 2 != 0) {
    return InvalidArgument("frame: " + std::to_string(setting.frame_bytes) +
                           " is not an even number from 64 to 1518");
  }
  Traffic traffic(setting);
  traffic.MakeFrame();
  if (setting.expect_backend) {
    traffic.inner_offset_ = ModeOf(setting.image.mode).OverheadOf(Family::kIpv4, 0);
    RETURN_IF_ERROR(traffic.FindBackends(image));
  }
  traffic.next_round_.resize(setting.flows);
  return traffic;
}

void Traffic::MakeFrame() {
  frame_.assign(setting_.frame_bytes - 4, 0);
  std::memcpy(frame_.data(), kDestination, 6);
  frame_[6] = 2;
  auto* const ethernet = reinterpret_cast<EthernetHeader*>(frame_.data());
  ethernet->ether_type = Be16::FromHost(kEtherTypeIpv4);
  auto* const ip = reinterpret_cast<Ipv4Header*>(frame_.data() + kL3);
  ip->version_ihl = 0x45;
  ip->total_length = Be16::FromHost(static_cast<uint16_t>(frame_.size() - kL3));
  ip->flags_fragment = Be16::FromHost(0x4000);  // DF
  ip->ttl = 64;
  ip->protocol = kIpProtoTcp;
  auto* const tcp = reinterpret_cast<TcpHeader*>(frame_.data() + kL4);
  tcp->destination_port = Be16::FromHost(kPort);
  tcp->data_offset = 0x50;
  tcp->flags = kTcpAck;
  tcp->window = Be16::FromHost(0xffff);
  for (size_t i = kData + kStampBytes; i < frame_.size(); ++i) frame_[i] = static_cast<uint8_t>(i);
  header_sum_ = Sum(frame_.data() + kL3, sizeof(Ipv4Header));
  tcp_sum_ = Sum(frame_.data() + kL4, frame_.size() - kL4) + Be16::FromHost(kIpProtoTcp).raw() +
             Be16::FromHost(static_cast<uint16_t>(frame_.size() - kL4)).raw();
}

// Uses the tables that the dataplane builds too, but not its stages.
Status Traffic::FindBackends(const SnapshotImage& image) {
  CounterIndices backend_indices(1U << 21);
  CounterIndices service_indices(1U << 17);
  // Names and addresses of ports do not affect the choice of a backend.
  EgressPort left{.interface = "left", .mac = {{2, 0, 0, 0, 0, 1}}};
  left.addresses = {V4(0xc0000201)};
  EgressPort right = left;
  right.interface = "right";
  const std::vector<EgressPort> ports = {left, right};
  ASSIGN_OR_RETURN(const std::unique_ptr<ForwardingTables> tables,
                   ForwardingTables::Build(SnapshotView(image.bytes()), {}, ports, &backend_indices,
                                           &service_indices, nullptr));
  backend_.resize(setting_.flows);
  for (uint32_t flow = 0; flow < setting_.flows; ++flow) {
    const ServiceEntry& service = tables->services()[flow % setting_.image.services];
    const FlowKey key =
        FlowKey::Make(V4(ClientOf(flow)), PortOf(flow),
                      V4(kFrontendBase + flow % setting_.image.services), kPort, kIpProtoTcp);
    backend_[flow] = SlotOwner(service, HashFlow(key, tables->hash_seed()));
    backend_[flow] = tables->backends()[backend_[flow]].id - 1;
  }
  return {};
}

void Traffic::Write(uint8_t* bytes, uint64_t tsc) {
  std::memcpy(bytes, frame_.data(), frame_.size());
  const uint32_t flow = next_flow_;
  auto* const ip = reinterpret_cast<Ipv4Header*>(bytes + kL3);
  ip->source = Be32::FromHost(ClientOf(flow));
  ip->destination = Be32::FromHost(kFrontendBase + flow % setting_.image.services);
  auto* const tcp = reinterpret_cast<TcpHeader*>(bytes + kL4);
  tcp->source_port = Be16::FromHost(PortOf(flow));
  std::memcpy(&tcp->sequence, &round_, 4);
  std::memcpy(&tcp->acknowledgment, &flow, 4);
  std::memcpy(bytes + kData, &tsc, kStampBytes);
  const uint32_t addresses = Sum(bytes + kL3 + 12, 8);
  const auto header = static_cast<uint16_t>(~Fold(header_sum_ + addresses));
  std::memcpy(&ip->checksum, &header, 2);
  const uint32_t tcp_sum = tcp_sum_ + addresses + Sum(bytes + kL4, 2) + Sum(bytes + kL4 + 4, 8) +
                           Sum(bytes + kData, kStampBytes);
  const auto checksum = static_cast<uint16_t>(~Fold(tcp_sum));
  std::memcpy(&tcp->checksum, &checksum, 2);
  if (++next_flow_ == setting_.flows) {
    next_flow_ = 0;
    ++round_;
  }
}

uint64_t Traffic::Judge(const uint8_t* bytes, uint32_t length, PacketChecks* verdicts) {
  const uint32_t expected = frame_length() + inner_offset_;
  uint32_t flow = setting_.flows;
  if (length == expected) std::memcpy(&flow, bytes + inner_offset_ + kL4 + 8, 4);
  if (flow >= setting_.flows) {
    ++verdicts->foreign;
    return 0;
  }
  uint32_t round;
  std::memcpy(&round, bytes + inner_offset_ + kL4 + 4, 4);
  if (round < next_round_[flow]) ++verdicts->reordered;
  next_round_[flow] = round + 1;
  if (setting_.expect_backend && !RightBackend(bytes, flow)) ++verdicts->wrong_backend;
  if (verdicts->received++ % setting_.check_every == 0 && !RightChecksums(bytes, inner_offset_)) {
    ++verdicts->bad_checksum;
  }
  uint64_t tsc = 0;
  std::memcpy(&tsc, bytes + inner_offset_ + kData, kStampBytes);
  return tsc;
}

bool Traffic::RightBackend(const uint8_t* bytes, uint32_t flow) const {
  const uint32_t number = backend_[flow];
  const uint8_t low[3] = {static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 8),
                          static_cast<uint8_t>(number)};
  if (bytes[0] != 2 || bytes[1] != 1 || std::memcmp(bytes + 3, low, 3) != 0) return false;
  const ModeDescriptor& mode = ModeOf(setting_.image.mode);
  if (!mode.is_tunnel() && !mode.rewrites_destination()) return true;
  const uint8_t* const address = bytes + kL3 + 16;  // the outer address if the mode is a tunnel
  return address[0] == 10 && std::memcmp(address + 1, low, 3) == 0;
}

bool Traffic::RightChecksums(const uint8_t* bytes, uint32_t inner_offset) const {
  if (Checksum(bytes + kL3, sizeof(Ipv4Header)) != 0) return false;
  const uint8_t* const ip = bytes + kL3 + inner_offset;
  if (inner_offset != 0 && Checksum(ip, sizeof(Ipv4Header)) != 0) return false;
  const auto tcp_bytes = static_cast<uint16_t>(frame_.size() - kL4);
  const uint32_t sum = Sum(ip + 12, 8) + Be16::FromHost(kIpProtoTcp).raw() +
                       Be16::FromHost(tcp_bytes).raw() + Sum(ip + sizeof(Ipv4Header), tcp_bytes);
  return Fold(sum) == 0xffff;
}

}  // namespace fairlead::bench
