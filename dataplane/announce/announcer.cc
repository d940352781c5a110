#include "dataplane/announce/announcer.h"

#include <algorithm>
#include <array>
#include <utility>

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

bool Announcer::Reports(const Port& port, const Target& target) {
  return !target.address.is_v4() && (target.vlan != kUntagged || port.reports_untagged);
}

void Announcer::Plan(Lane* lane, const IpAddress& address, uint64_t now_us) {
  if (per_second_ == 0) return;
  for (const uint16_t vlan : lane->port.vlans) {
    const Target target = {address, vlan};
    if (!lane->port.announces && !Reports(lane->port, target)) continue;
    lane->entries[target] = {.at_us = now_us, .left = kTimes};
    lane->queue.push({now_us, target});
  }
}

void Announcer::Follow(const std::set<IpAddress>& addresses, uint64_t now_us) {
  for (Lane& lane : lanes_) {
    std::erase_if(lane.entries,
                  [&](const auto& entry) { return !addresses.contains(entry.first.address); });
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

bool Announcer::SendDue(uint16_t index, Lane* lane, const Target& target, Entry* entry,
                        uint64_t now_us) {
  const auto send = [&](auto make) {
    if (!lane->bucket.Take(now_us)) return false;
    std::array<uint8_t, kMaxAnnouncementFrame> frame;
    const uint32_t length = make(target.address, lane->port.mac, target.vlan, frame.data());
    return send_(index, std::span(frame).first(length));
  };
  // The report comes first: no solicitation can arrive before it.
  if (Reports(lane->port, target) && !entry->reported) {
    if (!send(MakeMembershipReport)) return false;
    entry->reported = true;
  }
  if (lane->port.announces && entry->left > 0 && !send(MakeAnnouncement)) return false;
  entry->reported = false;
  return true;
}

uint64_t Announcer::StepLane(uint16_t index, Lane* lane, uint64_t now_us) {
  while (!lane->queue.empty()) {
    const Due due = lane->queue.top();
    if (due.at_us > now_us) return due.at_us;
    const auto found = lane->entries.find(due.target);
    if (found == lane->entries.end() || found->second.at_us != due.at_us) {
      lane->queue.pop();
      continue;
    }
    Entry& entry = found->second;
    if (!SendDue(index, lane, due.target, &entry, now_us)) return now_us + kRetryUs;
    lane->queue.pop();
    if (entry.left > 0) --entry.left;
    if (entry.left == 0 && !Reports(lane->port, due.target)) {
      lane->entries.erase(found);
      continue;
    }
    entry.at_us = now_us + (entry.left > 0 ? kApartUs : kReportAgainUs);
    lane->queue.push({entry.at_us, due.target});
  }
  return UINT64_MAX;
}

}  // namespace fairlead
