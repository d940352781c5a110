#include "dataplane/announce/announcer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lib/net/announcement.h"

namespace fairlead {
namespace {

constexpr uint32_t kTimes = 3;
constexpr uint64_t kApartUs = 1'000'000;
constexpr uint64_t kReportAgainUs = 20'000'000;
// The delay after `send_` refused a frame or the rate limit was reached.
constexpr uint64_t kRetryUs = 10'000;

}  // namespace

Announcer::Announcer(std::vector<Port> ports, uint32_t per_second, Send send)
    : per_second_(per_second), send_(std::move(send)) {
  for (const Port& port : ports) {
    lanes_.push_back({port, TokenBucket(per_second, std::max(per_second / 10, 1U)), {}, {}});
  }
}

void Announcer::Plan(Lane* lane, const IpAddress& address, uint64_t now_us) {
  const bool reports = lane->port.reports_groups && !address.is_v4();
  if (per_second_ == 0 || (!lane->port.announces && !reports)) return;
  lane->entries[address] = {now_us, kTimes};
  lane->queue.push({now_us, address});
}

void Announcer::Follow(const std::set<IpAddress>& addresses, uint64_t now_us) {
  for (Lane& lane : lanes_) {
    std::erase_if(lane.entries,
                  [&](const auto& entry) { return !addresses.contains(entry.first); });
    for (const IpAddress& address : addresses) {
      if (!addresses_.contains(address)) Plan(&lane, address, now_us);
    }
  }
  addresses_ = addresses;
}

void Announcer::LinkUp(uint16_t port_index, uint64_t now_us) {
  for (const IpAddress& address : addresses_) Plan(&lanes_[port_index], address, now_us);
}

uint64_t Announcer::Step(uint64_t now_us) {
  uint64_t next_us = UINT64_MAX;
  for (uint16_t index = 0; index < lanes_.size(); ++index) {
    next_us = std::min(next_us, StepLane(index, &lanes_[index], now_us));
  }
  return next_us;
}

bool Announcer::SendOne(uint16_t index, Lane* lane, const IpAddress& address, uint64_t now_us) {
  if (!lane->bucket.Take(now_us)) return false;
  std::array<uint8_t, kMaxAnnouncementFrame> frame;
  // The report comes first: no solicitation can arrive before it.
  if (lane->port.reports_groups && !address.is_v4()) {
    const uint32_t length = MakeMembershipReport(address, lane->port.mac, frame.data());
    if (!send_(index, std::span(frame).first(length))) return false;
  }
  if (!lane->port.announces || lane->entries.at(address).left == 0) return true;
  const uint32_t length = MakeAnnouncement(address, lane->port.mac, frame.data());
  return send_(index, std::span(frame).first(length));
}

uint64_t Announcer::StepLane(uint16_t index, Lane* lane, uint64_t now_us) {
  while (!lane->queue.empty()) {
    const Due due = lane->queue.top();
    if (due.at_us > now_us) return due.at_us;
    const auto found = lane->entries.find(due.address);
    if (found == lane->entries.end() || found->second.at_us != due.at_us) {
      lane->queue.pop();
      continue;
    }
    if (!SendOne(index, lane, due.address, now_us)) return now_us + kRetryUs;
    lane->queue.pop();
    Entry& entry = found->second;
    if (entry.left > 0) --entry.left;
    const bool reports = lane->port.reports_groups && !due.address.is_v4();
    if (entry.left == 0 && !reports) {
      lane->entries.erase(found);
      continue;
    }
    entry.at_us = now_us + (entry.left > 0 ? kApartUs : kReportAgainUs);
    lane->queue.push({entry.at_us, due.address});
  }
  return UINT64_MAX;
}

}  // namespace fairlead
