#include "controlplane/observe/health/probe_path.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <utility>

#include <sys/mman.h>

#include "lib/base/error_text.h"

namespace fairlead {
namespace {

constexpr size_t kTargetsBytes = kProbePorts * sizeof(uint32_t);

// The number of leading bits that both addresses have; 0 if their families differ.
int CommonPrefixBits(const IpAddress& a, const IpAddress& b) {
  if (a.family() != b.family()) return 0;
  int bits = 0;
  for (size_t i = 0; i < a.wire().size(); ++i) {
    const auto difference = static_cast<uint8_t>(a.wire()[i] ^ b.wire()[i]);
    bits += std::countl_zero(difference);
    if (difference != 0) break;
  }
  return bits;
}

}  // namespace

Result<std::unique_ptr<ProbePath>> ProbePath::Create(const StatusBoard* board,
                                                     HostAddresses host_addresses) {
  UniqueFd fd(::memfd_create("fairlead-probes", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid() || ::ftruncate(fd.get(), kTargetsBytes) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return ResourceExhausted("cannot make the memory of probes' targets: " + ErrorText());
  }
  void* const memory =
      ::mmap(nullptr, kTargetsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) {
    return ResourceExhausted("cannot map the memory of probes' targets: " + ErrorText());
  }
  return std::unique_ptr<ProbePath>(new ProbePath(board, std::move(host_addresses), std::move(fd),
                                                  static_cast<uint32_t*>(memory)));
}

ProbePath::ProbePath(const StatusBoard* board, HostAddresses host_addresses, UniqueFd fd,
                     uint32_t* targets)
    : board_(board),
      host_addresses_(std::move(host_addresses)),
      targets_fd_(std::move(fd)),
      targets_(targets),
      free_ports_(std::make_shared<std::deque<uint16_t>>()) {
  for (size_t i = 0; i < kProbePorts; ++i) {
    free_ports_->push_back(static_cast<uint16_t>(kFirstProbePort + i));
  }
}

ProbePath::~ProbePath() { ::munmap(targets_, kTargetsBytes); }

std::string ProbePath::WhyNot(Family family) const {
  const DataplaneStatus& dataplane = board_->dataplane();
  if (!dataplane.no_probes.empty()) return dataplane.no_probes;
  const std::string version = family == Family::kIpv4 ? "IPv4" : "IPv6";
  const auto is_of_family = [&](const IpAddress& each) { return each.family() == family; };
  if (std::ranges::none_of(dataplane.own_addresses, is_of_family)) {
    return "no port of the dataplane has an " + version +
           " address; set `addresses` of a port in dataplane.yaml";
  }
  if (SourceFor(family, IpAddress())) return "";
  return "this host's kernel has none of the ports' " + version +
         " addresses; add one to the port's interface";
}

std::optional<IpAddress> ProbePath::SourceFor(Family family, const IpAddress& backend) const {
  const std::map<IpAddress, std::string>& of_host = host_addresses_();
  std::optional<IpAddress> best;
  for (const IpAddress& each : board_->dataplane().own_addresses) {
    if (each.family() != family || !of_host.contains(each)) continue;
    if (!best || CommonPrefixBits(each, backend) > CommonPrefixBits(*best, backend)) best = each;
  }
  return best;
}

std::optional<ProbePath::Lease> ProbePath::Take(uint32_t backend_id) {
  if (free_ports_->empty()) return std::nullopt;
  const uint16_t port = free_ports_->front();
  free_ports_->pop_front();
  std::atomic_ref<uint32_t>(targets_[port - kFirstProbePort])
      .store(backend_id, std::memory_order_release);
  return Lease(free_ports_, port);
}

}  // namespace fairlead
