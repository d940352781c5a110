// Source addresses of balancers and peers as prefixes: "10.0.0.1" (/32), "10.9.0.0/16",
// "2001:db8::/64".
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/result.h"
#include "lib/net/address.h"

namespace fairlead::agent {

struct SourcePrefix {
  IpAddress address;  // host bits are zero
  uint8_t length_bits = 32;

  // Refuses host bits that are set, which are probably a mistake, and length 0, which would accept
  // any source.
  static Result<SourcePrefix> Parse(std::string_view text);
  std::string ToString() const;  // single addresses without their length
  friend auto operator<=>(const SourcePrefix&, const SourcePrefix&) = default;
};

}  // namespace fairlead::agent
