// Who holds which ports of one address and protocol, where several may hold the same port if they lead
// to the same place.
//
// Worked example, places A and B: (8000-8999, A) and (8100-8199, A) go together; (8999-9100, B) finds
// A in its way at 8999.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>

namespace fairlead {

// `Owner`: copied; leads_to_same(Owner, Owner) is an equivalence.
template <typename Owner>
class PortClaims {
 public:
  struct Conflict {
    Owner owner;
    uint16_t port;  // the lowest that both would hold
  };

  // Claims [first, last] unless somebody holds a port of it and leads elsewhere.
  template <typename LeadsToSame>
  std::optional<Conflict> Add(uint16_t first, uint16_t last, const Owner& owner,
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
    // They lead to one place, so one span stands for all of them.
    spans_.erase(begin, it);
    spans_.emplace(from, Span{to, owner});
    return std::nullopt;
  }

  // Null: nobody holds the port.
  const Owner* Find(uint16_t port) const {
    const auto it = spans_.upper_bound(port);
    if (it == spans_.begin()) return nullptr;
    const Span& span = std::prev(it)->second;
    return port <= span.last ? &span.owner : nullptr;
  }

 private:
  struct Span {
    uint16_t last;
    Owner owner;
  };
  auto FirstThatEndsAt(uint16_t port) {
    auto it = spans_.upper_bound(port);
    if (it != spans_.begin() && std::prev(it)->second.last >= port) --it;
    return it;
  }
  std::map<uint16_t, Span> spans_;  // by first port; apart
};

}  // namespace fairlead
