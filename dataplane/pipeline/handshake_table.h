// The TCP handshakes that a worker follows, to learn which backends do not answer. Replies of dsr
// and of tunnels do not pass the balancer. But a client that got an answer sends another packet: an
// ACK, or a reset. So a SYN is followed, and if no other packet of its flow comes within 3 s, its
// backend did not answer.
//
//   SYN             free -> waiting
//   other packet    waiting -> free, the handshake counts as answered
//   3 s             waiting -> unanswered, the handshake counts as unanswered
//   30 s            unanswered -> free
//
// One flow in 64 is followed, chosen by its hash. A place can hold one flow. While it waits, other
// flows of the place are not followed: whether they are does not depend on their backends, so the
// shares of the backends stay right. An unanswered place yields to any other flow. It only
// remembers its own, so that SYNs sent again do not count as further handshakes.
//
// With a hash policy other than the 5-tuple, all flows of a client have the same place, since they
// have the same backend. So one client, or one forged address, makes at most one handshake in 3 s.
//
// A place has the backend's id, not its counters' index: an index may have another owner when the
// handshake ends. One worker.
#pragma once

#include <array>
#include <cstdint>

#include "lib/flow/flow_hash.h"
#include "lib/flow/flow_table.h"

namespace fairlead {

inline constexpr uint32_t kFlowsPerSample = 64;
// A flow is followed if the lower half of FlowHash::low is below this. The upper half selects the
// slot.
inline constexpr uint32_t kSampleLimit = (uint64_t{1} << 32) / kFlowsPerSample;
inline constexpr uint32_t kHandshakePlaces = 1024;
// A packet that comes later is no answer. Ticks are coarse: this is 3 to 3.25 s.
inline constexpr uint32_t kAnswerTicks = 3 * kTicksPerSecond;
// A client sends its SYN again after 1, 3, 7, 15 and 31 s.
inline constexpr uint32_t kUnansweredTicks = 32 * kTicksPerSecond;

inline bool IsSampled(const FlowHash& hash) {
  return static_cast<uint32_t>(hash.low) < kSampleLimit;
}

class HandshakeTable {
 public:
  // A SYN without ACK, sent to this backend.
  void OnSyn(const FlowHash& hash, uint32_t backend_id, uint32_t now_tick) {
    Place& place = PlaceOf(hash);
    switch (place.state) {
      case State::kWaiting:
        return;
      case State::kUnanswered:
        if (place.tag == TagOf(hash) && now_tick - place.tick <= kUnansweredTicks) return;
        break;
      case State::kFree:
        break;
    }
    waiting_ += 1;
    place = {TagOf(hash), backend_id, now_tick, State::kWaiting};
  }

  // A packet that is not a SYN. Returns the id of the backend that answered; 0: the flow is not
  // waiting. A packet that comes too late changes nothing: Expire() counts the handshake.
  uint32_t OnOther(const FlowHash& hash, uint32_t now_tick) {
    Place& place = PlaceOf(hash);
    if (place.tag != TagOf(hash) || place.state != State::kWaiting) return 0;
    if (now_tick - place.tick > kAnswerTicks) return 0;
    place.state = State::kFree;
    waiting_ -= 1;
    return place.backend_id;
  }

  // Calls unanswered(backend id) for waiting flows of the next `count` places whose time is over.
  // Call it for all places every second.
  template <typename Unanswered>
  void Expire(uint32_t now_tick, uint32_t count, Unanswered unanswered) {
    if (waiting_ == 0) return;
    for (uint32_t n = 0; n < count; ++n) {
      Place& place = places_[next_expiry_];
      next_expiry_ = (next_expiry_ + 1) % kHandshakePlaces;
      if (place.state != State::kWaiting || now_tick - place.tick <= kAnswerTicks) continue;
      place.state = State::kUnanswered;
      waiting_ -= 1;
      unanswered(place.backend_id);
    }
  }

  uint32_t waiting() const { return waiting_; }

  // Forgets all flows, if hashes have another seed than before.
  void SetSeed(uint64_t seed) {
    if (seed == seed_) return;
    Clear();
    seed_ = seed;
  }
  void Clear() {
    places_ = {};
    waiting_ = 0;
  }

 private:
  enum class State : uint32_t { kFree, kWaiting, kUnanswered };
  struct Place {
    uint32_t tag = 0;
    uint32_t backend_id = 0;
    uint32_t tick = 0;  // of the SYN
    State state = State::kFree;
  };
  static_assert(sizeof(Place) == 16);

  static uint32_t TagOf(const FlowHash& hash) { return static_cast<uint32_t>(hash.high); }
  Place& PlaceOf(const FlowHash& hash) { return places_[(hash.low >> 32) % kHandshakePlaces]; }

  std::array<Place, kHandshakePlaces> places_ = {};
  uint32_t waiting_ = 0;      // places
  uint32_t next_expiry_ = 0;  // place
  uint64_t seed_ = 0;
};

}  // namespace fairlead
