// Looks whether this host is connected to the network that an endpoint is reached by: whether the
// route's interface has a carrier, and whether somebody answers at its other end.
//
// Who must answer: the route's gateway. If the endpoint is on-link, there is no gateway, and its
// own silence proves nothing. Then one answer is enough of the endpoint itself, the other followed
// addresses on this link, and the default gateway if it is on this link. If there is nobody but the
// endpoint, the link counts as there.
//
// The kernel asks: its neighbour entry is put into the state PROBE, so that it asks at once,
// although it may consider the entry good for half a minute. An entry that cannot be asked (a
// permanent one, or no CAP_NET_ADMIN) says nothing, and counts as an answer. Looks at the same way
// share the answers. One thread (the executor's).
#pragma once

#include <map>
#include <set>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "controlplane/common/time.h"
#include "controlplane/core/way.h"
#include "controlplane/observe/neighbours/next_hops.h"

namespace fairlead {

class WayLook {
 public:
  WayLook(boost::asio::any_io_executor executor, NextHops* next_hops)
      : executor_(std::move(executor)), next_hops_(next_hops) {}

  // Takes about a millisecond if somebody answers, and kAnswerTime if not.
  boost::asio::awaitable<WayState> Look(IpAddress endpoint);
  // Asks nobody: looks at the route and the carrier only.
  WayState Find(const IpAddress& endpoint) const;

  static constexpr std::chrono::milliseconds kAnswerTime{80};

 private:
  struct Question {
    SteadyTime asked_at{};
    std::set<IpAddress> witnesses = {};
    bool is_pointless = false;  // nobody can be asked
  };

  // Asks all who may answer, unless they were asked just now.
  void Ask(const WayKey& way, const IpAddress& endpoint);
  bool IsAnswered(const WayKey& way) const;

  boost::asio::any_io_executor executor_;
  NextHops* next_hops_;
  std::map<WayKey, Question> questions_;
};

}  // namespace fairlead
