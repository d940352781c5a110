// Records which claimant has which ports of one address and protocol. Several claimants may have
// the same port if they lead to the same target.
//
// Worked example, targets A and B: (8000-8999, A) and (8100-8199, A) are compatible; (8999-9100, B)
// conflicts with A at port 8999.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>

namespace fairlead {

// `Claimant`: the claimant; it is copied. leads_to_same(Claimant, Claimant) is an equivalence relation.
template <typename Claimant>
class PortClaims {
 public:
  struct Conflict {
    Claimant owner;
    uint16_t port;  // the lowest port that both claim
  };

  // Claims [first, last], unless a claimant with another target has one of these ports.
  template <typename LeadsToSame>
  std::optional<Conflict> Add(uint16_t first, uint16_t last, const Claimant& owner,
                              LeadsToSame leads_to_same) {
    auto it = FirstThatEndsAt(first);
    uint16_t from = first;
    uint16_t to = last;
    const auto begin = it;
    for (; it != spans_.end() && it->first <= last; ++it) {
      const auto& [span_first, span] = *it;
      if (!leads_to_same(span.owner, owner)) {
        return Conflict{span.owner, std::max(first, span_first)};
      }
      from = std::min(from, span_first);
      to = std::max(to, span.last);
    }
    // All overlapping spans have the same target, so one span replaces them.
    spans_.erase(begin, it);
    spans_.emplace(from, Span{to, owner});
    return std::nullopt;
  }

  // Null: the port is not claimed.
  const Claimant* Find(uint16_t port) const {
    const auto it = spans_.upper_bound(port);
    if (it == spans_.begin()) return nullptr;
    const Span& span = std::prev(it)->second;
    return port <= span.last ? &span.owner : nullptr;
  }

 private:
  struct Span {
    uint16_t last;
    Claimant owner;
  };
  auto FirstThatEndsAt(uint16_t port) {
    auto it = spans_.upper_bound(port);
    if (it != spans_.begin() && std::prev(it)->second.last >= port) --it;
    return it;
  }
  std::map<uint16_t, Span> spans_;  // by first port; they do not overlap
};

}  // namespace fairlead
