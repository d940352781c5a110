#include "controlplane/observe/neighbours/way_look.h"

#include <algorithm>

#include <boost/asio/steady_timer.hpp>

#include "controlplane/common/event.h"

namespace fairlead {
namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

// Looks at a way within this time share a question. The kernel itself asks once a second.
constexpr milliseconds kQuestionPeriod{200};
constexpr milliseconds kFirstWait{1};
// An answer of one of these on a link is enough, so more questions would tell nothing.
constexpr size_t kMostWitnesses = 32;

}  // namespace

WayState WayLook::Find(const IpAddress& endpoint) const {
  const WayOut way = next_hops_->FindWayOut(endpoint);
  WayState state;
  if (!way.has_route) {
    state.loss = WayLoss::kNoRoute;
    return state;
  }
  if (!way.has_neighbours && way.no_carrier.empty()) return state;
  state.way.interface_index = way.route.interface_index;
  if (way.route.neighbour != endpoint) state.way.gateway = way.route.neighbour;
  state.interface = way.interface;
  if (!way.no_carrier.empty()) state.loss = WayLoss::kNoCarrier;
  return state;
}

asio::awaitable<WayState> WayLook::Look(IpAddress endpoint) {
  WayState state = Find(endpoint);
  // Without an interface index there is nobody to ask: the endpoint is this host, or the interface
  // has no neighbours.
  if (state.loss != WayLoss::kNone || state.way.interface_index == 0) co_return state;
  Ask(state.way, endpoint);
  const SteadyTime deadline = SteadyNow() + kAnswerTime;
  asio::steady_timer timer(executor_);
  milliseconds wait = kFirstWait;
  while (!IsAnswered(state.way)) {
    const SteadyTime now = SteadyNow();
    if (now >= deadline) {
      state.loss = WayLoss::kSilent;
      co_return state;
    }
    asio::awaitable<bool> slept = SleepUntil(&timer, std::min(now + wait, deadline));
    co_await std::move(slept);
    wait *= 2;
  }
  co_return state;
}

void WayLook::Ask(const WayKey& way, const IpAddress& endpoint) {
  Question& question = questions_[way];
  const SteadyTime now = SteadyNow();
  const bool is_recent = now < question.asked_at + kQuestionPeriod;
  const bool is_on_link = way.gateway == IpAddress();
  if (is_recent && (!is_on_link || question.witnesses.contains(endpoint))) return;
  question = {.asked_at = now};
  if (is_on_link) {
    question.witnesses = next_hops_->OnLinkWitnesses(way.interface_index, kMostWitnesses);
    question.is_pointless = question.witnesses.empty() || question.witnesses == std::set{endpoint};
    question.witnesses.insert(endpoint);
  } else {
    question.witnesses = {way.gateway};
  }
  for (const IpAddress& witness : question.witnesses) {
    if (!next_hops_->Ask({way.interface_index, witness})) question.is_pointless = true;
  }
}

bool WayLook::IsAnswered(const WayKey& way) const {
  const Question& question = questions_.at(way);
  return question.is_pointless ||
         std::ranges::any_of(question.witnesses, [&](const IpAddress& witness) {
           const auto answered = next_hops_->AnsweredAt({way.interface_index, witness});
           return answered.has_value() && *answered >= question.asked_at;
         });
}

}  // namespace fairlead
