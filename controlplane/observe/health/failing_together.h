// Decides whether endpoints fail, or this host is cut off from them. An endpoint is the address of
// checked backends. Pure: no sockets, no clocks; one thread.
//
// The endpoints that this host reaches by the same interface and gateway have a *way* in common. At
// each failure of an endpoint, the caller looks whether its way is there: whether the interface has
// a carrier, and somebody answers at its other end (neighbours/way_look.h).
//
//   the way is there                    -> accepted at once
//   it is gone, few endpoints fail      -> waits for others, at most for the window (two intervals)
//   it is gone, half of all fail        -> this host is isolated: held until the way is back
//   it is gone, the window is over      -> accepted: that endpoint failed
//   it is back while a failure waits    -> held: the check counts anew
//
// So the first failures of an isolation wait instead of being accepted and taken back: a released
// flow cannot be taken back. Backends that fail while their way is there wait for nothing.
//
// *Half of all* is of the endpoints that were healthy when the window began, of which there must be
// kMinEndpoints. With fewer, every failure is accepted at once. Failures that were accepted count,
// too, and they are an event when they reach half (failed_together).
//
// A held failure leaves no trace in the check: it stays healthy and counts its failures anew.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "controlplane/common/time.h"
#include "controlplane/core/way.h"
#include "lib/net/address.h"

namespace fairlead {

class FailingTogether {
 public:
  static constexpr size_t kMinEndpoints = 4;

  enum class Decision : uint8_t { kAccept, kWait, kHold };
  struct Answer {
    Decision decision = Decision::kAccept;
    bool failed_together = false;       // half of all have failed now, and their ways are there
    std::vector<WayKey> isolated = {};  // these ways are gone since now
  };

  // A healthy endpoint would become unhealthy. `healthy`: how many endpoints are healthy, this one
  // included; used when the window begins.
  Answer OnFailure(const IpAddress& endpoint, const WayKey& way, bool is_there, SteadyTime now,
                   std::chrono::milliseconds window, size_t healthy);
  // A probe of a healthy endpoint failed, and is known not to count: its interface has no carrier.
  // The decision is always to hold.
  Answer OnNoWay(const IpAddress& endpoint, const WayKey& way, SteadyTime now,
                 std::chrono::milliseconds window, size_t healthy);
  // What became of a failure that waits.
  Answer OnWaiting(const IpAddress& endpoint, bool is_there, SteadyTime now);
  // The way is back. True: this host was cut off from it.
  bool OnBack(const WayKey& way);

  bool IsIsolated(const WayKey& way) const { return isolated_.contains(way); }
  // The ways that are gone, and since when.
  const std::map<WayKey, SteadyTime>& isolated() const { return isolated_; }
  // The endpoints that failed within their windows, of those that were healthy before.
  size_t failed_count() const { return failures_.size(); }
  size_t healthy_before() const { return healthy_before_; }

 private:
  struct Failure {
    WayKey way;
    SteadyTime until;      // the end of its window
    bool is_gone = false;  // its way was gone when it failed
    bool waits = false;    // for OnWaiting()
  };

  void Begin(SteadyTime now, size_t healthy);
  bool ReachesHalf() const {
    return healthy_before_ >= kMinEndpoints && 2 * failures_.size() >= healthy_before_;
  }
  // Isolates the ways of failures that wait, if half of all have failed.
  void Isolate(SteadyTime now, Answer* answer);
  // True if the way was gone at a failure that was not accepted.
  bool WasGone(const WayKey& way) const;

  std::map<IpAddress, Failure> failures_;
  size_t healthy_before_ = 0;
  bool told_ = false;  // that the failures of this window reached half
  std::map<WayKey, SteadyTime> isolated_;
};

}  // namespace fairlead
