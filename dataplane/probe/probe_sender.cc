#include "dataplane/probe/probe_sender.h"

#include <fcntl.h>

#include <array>
#include <atomic>
#include <climits>
#include <utility>

#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/base/error_text.h"
#include "lib/net/headers.h"

namespace fairlead {
namespace {

constexpr size_t kTargetsBytes = kProbePorts * sizeof(uint32_t);
constexpr int kPacketsPerTurn = 64;
constexpr size_t kMaxReasonBytes = 1024;

// The source port of TCP or UDP without IPv6 extension headers, which the kernel does not add.
std::optional<uint16_t> SourcePortOf(std::span<const uint8_t> packet) {
  if (packet.empty()) return std::nullopt;
  const size_t offset = packet[0] >> 4 == 6 ? 40 : size_t{4} * (packet[0] & 0x0f);
  if (packet.size() < offset + 2) return std::nullopt;
  return static_cast<uint16_t>(packet[offset] << 8 | packet[offset + 1]);
}

}  // namespace

Result<ProbeTargets> ProbeTargets::Map(int fd) {
  struct stat file = {};
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(fd, &file) != 0 ||
      file.st_size != static_cast<off_t>(kTargetsBytes)) {
    return InvalidArgument("the probes' targets are not a sealed memfd of " +
                           std::to_string(kTargetsBytes) + " bytes");
  }
  void* const memory = ::mmap(nullptr, kTargetsBytes, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return ResourceExhausted("cannot map the targets: " + ErrorText());
  return ProbeTargets(static_cast<uint32_t*>(memory));
}

ProbeTargets::~ProbeTargets() {
  if (ids_ != nullptr) ::munmap(ids_, kTargetsBytes);
}

ProbeTargets::ProbeTargets(ProbeTargets&& other) noexcept
    : ids_(std::exchange(other.ids_, nullptr)) {}

ProbeTargets& ProbeTargets::operator=(ProbeTargets&& other) noexcept {
  std::swap(ids_, other.ids_);
  return *this;
}

uint32_t ProbeTargets::BackendOf(uint16_t port) const {
  if (port < kFirstProbePort || port > kLastProbePort) return 0;
  return std::atomic_ref<uint32_t>(ids_[port - kFirstProbePort]).load(std::memory_order_acquire);
}

ProbeSender::ProbeSender(std::vector<PortView> ports, std::vector<IpAddress> own_addresses,
                         SendFrame send)
    : ports_(std::move(ports)), own_addresses_(std::move(own_addresses)), send_(std::move(send)) {}

ProbesMessage ProbeSender::Open(int targets_fd) {
  const auto open = [&]() -> Status {
    ASSIGN_OR_RETURN(ProbeTargets targets, ProbeTargets::Map(targets_fd));
    if (!rewriter_) {
      ASSIGN_OR_RETURN(ProbeRewriter rewriter, ProbeRewriter::Create(ports_));
      rewriter_.emplace(std::move(rewriter));
    }
    if (network_ == nullptr) {
      ASSIGN_OR_RETURN(network_, ProbeNetwork::Open());
      network_->Follow(frontends_);
      Watch();
      while (!network_->Step()) {
      }
      spdlog::info("health probes go through {}", ProbeNetwork::kInterface);
    }
    targets_.emplace(std::move(targets));
    return {};
  };
  const Status opened = open();
  if (!opened.ok()) spdlog::warn("no health probes through this dataplane: {}", opened.message());
  return {opened.ok(), opened.message().substr(0, kMaxReasonBytes)};
}

void ProbeSender::Follow(const SnapshotView& snapshot) {
  std::vector<IpAddress> of_frontends;
  of_frontends.reserve(snapshot.frontends().size());
  for (const FrontendRecord& frontend : snapshot.frontends()) {
    of_frontends.push_back(AddressOf(frontend));
  }
  if (of_frontends == followed_) return;
  frontends_ = std::set<IpAddress>(of_frontends.begin(), of_frontends.end());
  followed_ = std::move(of_frontends);
  if (network_ != nullptr) network_->Follow(frontends_);
}

int ProbeSender::Step() {
  if (network_ == nullptr) return INT_MAX;
  const bool done = network_->Step();
  if (network_->error() != logged_error_) {
    logged_error_ = network_->error();
    spdlog::warn("{}", logged_error_);
  }
  return done ? INT_MAX : 0;
}

void ProbeSender::Watch() {
  if (network_ == nullptr) return;
  network_->FollowInterfaces(InterfacesWith(own_addresses_));
  if (network_->Restore()) {
    spdlog::warn("the rules of health probes had been removed, and were added again");
  }
}

void ProbeSender::Serve(const ForwardingTables* tables) {
  std::array<uint8_t, ProbeRewriter::kMaxPacketBytes> packet;
  for (int n = 0; n < kPacketsPerTurn; ++n) {
    const size_t length = network_->Read(packet);
    if (length == 0) return;
    const auto bytes = std::span<const uint8_t>(packet).first(length);
    // The kernel may send packets of its own there, such as multicast reports.
    const uint32_t backend = targets_->BackendOf(SourcePortOf(bytes).value_or(0));
    if (backend == 0) continue;
    Add(Send(tables, backend, bytes) ? &counts_.packets : &counts_.dropped, 1);
  }
}

bool ProbeSender::Send(const ForwardingTables* tables, uint32_t backend_id,
                       std::span<const uint8_t> packet) {
  ProbeRewriter::Frame frame;
  const DropReason reason = tables == nullptr
                                ? DropReason::k_no_frontend
                                : rewriter_->Rewrite(*tables, backend_id, packet, &frame);
  if (reason != DropReason::kNone) {
    spdlog::debug("a probe's packet is dropped: {}", DropReasonName(reason));
    return false;
  }
  return send_(frame.egress_port, frame.bytes);
}

ProbeCounts ProbeSender::Counts() const {
  return {ReadCounter(counts_.packets), ReadCounter(counts_.dropped)};
}

}  // namespace fairlead
