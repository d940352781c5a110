#include "tools/agent/prefix.h"

#include <array>
#include <charconv>

namespace fairlead::agent {
namespace {

IpAddress WithoutHostBits(const IpAddress& address, unsigned length_bits) {
  std::array<uint8_t, 16> bytes = address.bytes();
  for (unsigned bit = length_bits; bit < bytes.size() * 8; ++bit)
    bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] & ~(0x80U >> (bit % 8)));
  std::span<const uint8_t, 16> all(bytes);
  return address.is_v4() ? IpAddress::FromV4(all.first<4>()) : IpAddress::FromV6(all);
}

}  // namespace

Result<SourcePrefix> SourcePrefix::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  ASSIGN_OR_RETURN(const IpAddress address, IpAddress::Parse(text.substr(0, slash)));
  const unsigned whole = address.is_v4() ? 32 : 128;
  unsigned length = whole;
  const std::string quoted = "'" + std::string(text) + "'";
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (error != std::errc() || end != digits.data() + digits.size() || length > whole)
      return InvalidArgument("prefix " + quoted + ": the length must be a number up to " +
                             std::to_string(whole));
  }
  if (length == 0)
    return InvalidArgument("prefix " + quoted + ": length 0 would accept packets from any source");
  SourcePrefix prefix{WithoutHostBits(address, length), static_cast<uint8_t>(length)};
  if (prefix.address != address)
    return InvalidArgument("prefix " + quoted + " has host bits set; write " + prefix.ToString() +
                           " or " + address.ToString());
  return prefix;
}

std::string SourcePrefix::ToString() const {
  const unsigned whole = address.is_v4() ? 32 : 128;
  return address.ToString() + (length_bits == whole ? "" : "/" + std::to_string(length_bits));
}

}  // namespace fairlead::agent
