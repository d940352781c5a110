// Balancers' source addresses as prefixes: "10.0.0.1" (/32), "10.9.0.0/16", "2001:db8::/64".
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "lib/base/result.h"
#include "lib/net/address.h"

namespace fairlead::agent {

struct Prefix {
  IpAddress address;  // host bits are zero
  uint8_t length_bits = 32;

  // Refuses host bits that are set (probably a slip: which address was meant?) and length 0, which
  // would let anybody in.
  static Result<Prefix> Parse(std::string_view text);
  std::string ToString() const;  // single addresses without their length
  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};

}  // namespace fairlead::agent
