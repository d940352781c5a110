#include "dataplane/port/announcements.h"

#include <algorithm>
#include <chrono>
#include <string>

namespace fairlead {
namespace {

constexpr uint64_t kLongestWaitUs = 1'000'000;

uint64_t NowUs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

std::vector<Announcer::Port> AnnouncingPorts(std::span<const Port> ports) {
  std::vector<Announcer::Port> out;
  for (const Port& port : ports) {
    out.push_back({.mac = port.view.mac,
                   .announces = port.announce,
                   .reports_untagged = port.kernel_interface.empty(),
                   .vlans = port.has_network ? port.announce_vlans : std::vector<uint16_t>()});
  }
  return out;
}

// The kernel joins the groups on them whatever the ports' VLANs are: an interface's driver also sets
// the NIC's multicast filter by its memberships, and tagged frames pass that filter, too.
std::vector<std::string> KernelInterfaces(std::span<const Port> ports) {
  std::vector<std::string> names;
  for (const Port& port : ports) {
    if (!port.kernel_interface.empty()) names.push_back(port.kernel_interface);
  }
  return names;
}

}  // namespace

Announcements::Announcements(std::span<const Port> ports, uint32_t per_second,
                             ManagementFrames* frames)
    : announcer_(AnnouncingPorts(ports), per_second,
                 [frames](uint16_t port_index, std::span<const uint8_t> frame) {
                   return frames->Put(port_index, frame);
                 }),
      memberships_(KernelInterfaces(ports)) {}

void Announcements::Follow(const SnapshotView& snapshot) {
  std::vector<IpAddress> of_frontends;
  of_frontends.reserve(snapshot.frontends().size());
  for (const FrontendRecord& frontend : snapshot.frontends()) {
    of_frontends.push_back(AddressOf(frontend));
  }
  if (of_frontends == followed_) return;
  const std::set<IpAddress> addresses(of_frontends.begin(), of_frontends.end());
  // Memberships come first: a solicitation may follow an announcement at once.
  memberships_.Follow(addresses);
  announcer_.Follow(addresses, NowUs());
  followed_ = std::move(of_frontends);
}

void Announcements::LinkUp(uint16_t port_index) { announcer_.LinkUp(port_index, NowUs()); }

int Announcements::Step() {
  const uint64_t now_us = NowUs();
  const uint64_t next_us = announcer_.Step(now_us);
  const uint64_t rest_us = std::min(next_us > now_us ? next_us - now_us : 0, kLongestWaitUs);
  return static_cast<int>((rest_us + 999) / 1000);
}

}  // namespace fairlead
