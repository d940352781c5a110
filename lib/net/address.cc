#include "lib/net/address.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include <arpa/inet.h>

namespace fairlead {
namespace {

// A value as messages quote it: at most 64 characters, with '?' for bytes that are not printable.
std::string Quoted(std::string_view text) {
  constexpr size_t kLongest = 64;
  std::string out = "'";
  for (const char c : text.substr(0, kLongest)) out += (c >= ' ' && c <= '~') ? c : '?';
  return out + (text.size() > kLongest ? "...'" : "'");
}

// Decimal 0-65535 without sign, blanks or leading zeros.
std::optional<uint16_t> PortFrom(std::string_view text) {
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  return port;
}

Result<uint16_t> ParsePort(std::string_view text, std::string_view whole) {
  const std::optional<uint16_t> port = PortFrom(text);
  if (!port) {
    return InvalidArgument("port " + Quoted(text) + " in " + Quoted(whole) +
                           " is not a number from 0 to 65535");
  }
  return *port;
}

struct HostPort {
  IpAddress address;
  std::optional<std::string_view> port;
};

// "A.B.C.D", "A.B.C.D:P", "V6", "[V6]", "[V6]:P". P is not checked.
Result<HostPort> SplitHostPort(std::string_view text) {
  std::string_view host = text;
  std::optional<std::string_view> port;
  if (!text.empty() && text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) {
      return InvalidArgument(Quoted(text) + " has '[' without ']'");
    }
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty()) {
      if (rest[0] != ':') {
        return InvalidArgument(Quoted(text) + " must have ':' and a port after ']'");
      }
      port = rest.substr(1);
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    const size_t colon = text.find(':');
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  ASSIGN_OR_RETURN(const IpAddress address, IpAddress::Parse(host));
  if (text[0] == '[' && address.is_v4()) {
    return InvalidArgument(Quoted(text) + ": brackets are for IPv6 addresses");
  }
  return HostPort{address, port};
}

// "80", "0", "8000-8999".
Status ParsePorts(std::string_view text, std::string_view whole, Frontend* frontend) {
  const size_t dash = text.find('-');
  ASSIGN_OR_RETURN(frontend->port, ParsePort(text.substr(0, dash), whole));
  if (dash == std::string_view::npos) return {};
  ASSIGN_OR_RETURN(frontend->last_port, ParsePort(text.substr(dash + 1), whole));
  if (frontend->port != 0 && frontend->port < frontend->last_port) return {};
  return InvalidArgument(
      "ports " + Quoted(text) + " in " + Quoted(whole) +
      " are not a range: write FIRST-LAST with 0 < FIRST < LAST, a single port, or "
      "0 for any port");
}

std::string WithPort(const IpAddress& address, uint16_t port) {
  const std::string text = address.ToString();
  return (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(port);
}

std::string DottedQuad(const uint8_t* bytes) {
  return std::to_string(bytes[0]) + "." + std::to_string(bytes[1]) + "." +
         std::to_string(bytes[2]) + "." + std::to_string(bytes[3]);
}

bool IsV4Mapped(const std::array<uint8_t, 16>& bytes) {  // ::ffff:0:0/96
  return std::all_of(bytes.begin(), bytes.begin() + 10, [](uint8_t b) { return b == 0; }) &&
         bytes[10] == 0xff && bytes[11] == 0xff;
}

struct Run {
  size_t begin = 0;
  size_t length = 0;
};

// The longest run of zero groups; of several, the first (RFC 5952, 4.2.3).
Run LongestZeroRun(const std::array<uint16_t, 8>& groups) {
  Run best;
  Run run;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i] != 0) {
      run = Run{i + 1, 0};
      continue;
    }
    ++run.length;
    if (run.length > best.length) best = run;
  }
  return best;
}

std::string FormatV6(const std::array<uint8_t, 16>& bytes) {
  if (IsV4Mapped(bytes)) return "::ffff:" + DottedQuad(bytes.data() + 12);
  std::array<uint16_t, 8> groups;
  for (size_t i = 0; i < groups.size(); ++i) {
    groups[i] = static_cast<uint16_t>(bytes[2 * i] << 8 | bytes[2 * i + 1]);
  }
  Run zeros = LongestZeroRun(groups);
  if (zeros.length < 2) zeros = Run{groups.size(), 0};  // 4.2.2: one group is not shortened
  std::string out;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (i == zeros.begin) {
      out += "::";
      i += zeros.length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    char hex[4];
    const auto end = std::to_chars(hex, hex + sizeof(hex), groups[i], 16).ptr;
    out.append(hex, end);
  }
  return out;
}

}  // namespace

std::string_view ProtocolName(Protocol protocol) {
  return protocol == Protocol::kTcp ? "tcp" : "udp";
}

Result<Protocol> ParseProtocol(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (lower == "tcp") return Protocol::kTcp;
  if (lower == "udp") return Protocol::kUdp;
  return InvalidArgument("protocol " + Quoted(text) + " is neither tcp nor udp");
}

IpAddress IpAddress::FromV4(std::span<const uint8_t, 4> bytes) {
  IpAddress address;
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
  return address;
}

IpAddress IpAddress::FromV6(std::span<const uint8_t, 16> bytes) {
  IpAddress address;
  address.family_ = Family::kIpv6;
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
  return address;
}

Result<IpAddress> IpAddress::Parse(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  uint8_t bytes[16];
  if (text.size() < sizeof(terminated) && text.find('\0') == std::string_view::npos) {
    text.copy(terminated, text.size());
    if (inet_pton(AF_INET, terminated, bytes) == 1) {
      return FromV4(std::span<const uint8_t, 4>(bytes, 4));
    }
    if (inet_pton(AF_INET6, terminated, bytes) == 1) return FromV6(bytes);
  }
  return InvalidArgument("address " + Quoted(text) +
                         " is neither IPv4 (203.0.113.10) nor IPv6 (2001:db8::10)");
}

std::string IpAddress::ToString() const {
  return is_v4() ? DottedQuad(bytes_.data()) : FormatV6(bytes_);
}

bool IpAddress::IsUnusable() const {
  if (is_v4()) return bytes_[0] == 0 || bytes_[0] == 127 || bytes_[0] >= 224;
  if (bytes_[0] == 0xff || IsV4Mapped(bytes_)) return true;
  return bytes_[15] <= 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](uint8_t b) { return b == 0; });
}

Result<Prefix> Prefix::Parse(std::string_view text) {
  const size_t slash = text.rfind('/');
  Prefix prefix;
  const char* end = text.data() + text.size();
  std::from_chars_result parsed{end, std::errc::invalid_argument};
  if (slash != std::string_view::npos) {
    parsed = std::from_chars(text.data() + slash + 1, end, prefix.bits);
  }
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return InvalidArgument("prefix " + Quoted(text) + " is not ADDRESS/LENGTH (192.0.2.128/25)");
  }
  ASSIGN_OR_RETURN(prefix.address, IpAddress::Parse(text.substr(0, slash)));
  const uint32_t width = prefix.address.is_v4() ? 32 : 128;
  if (prefix.bits > width) {
    return InvalidArgument("prefix " + Quoted(text) + " is longer than " + std::to_string(width));
  }
  for (uint32_t bit = prefix.bits; bit < width; ++bit) {
    if ((prefix.address.bytes()[bit / 8] >> (7 - bit % 8) & 1) == 0) continue;
    return InvalidArgument("prefix " + Quoted(text) + " has bits after its length set");
  }
  return prefix;
}

std::string Prefix::ToString() const { return address.ToString() + "/" + std::to_string(bits); }

Result<MacAddress> MacAddress::Parse(std::string_view text) {
  MacAddress mac;
  bool good = text.size() == 17;
  for (size_t i = 0; good && i < mac.bytes.size(); ++i) {
    const char* digits = text.data() + i * 3;
    // from_chars also accepts one digit, so check that it consumed both.
    const auto [stop, error] = std::from_chars(digits, digits + 2, mac.bytes[i], 16);
    good = error == std::errc() && stop == digits + 2 && (i == 5 || digits[2] == ':');
  }
  if (!good) {
    return InvalidArgument("MAC " + Quoted(text) +
                           " is not six pairs of hex digits with colons (02:00:00:00:00:01)");
  }
  return mac;
}

std::string MacAddress::ToString() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const uint8_t byte : bytes) {
    if (!out.empty()) out += ':';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

Result<Endpoint> Endpoint::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const HostPort parts, SplitHostPort(text));
  Endpoint endpoint{parts.address, 0};
  if (parts.port) {
    ASSIGN_OR_RETURN(endpoint.port, ParsePort(*parts.port, text));
  }
  return endpoint;
}

std::string Endpoint::ToString() const {
  return port == 0 ? address.ToString() : WithPort(address, port);
}

Result<Frontend> Frontend::Parse(std::string_view text) {
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) {
    return InvalidArgument("frontend " + Quoted(text) +
                           " has no protocol: write ADDRESS:PORT/tcp or ADDRESS:PORT/udp");
  }
  Frontend frontend;
  ASSIGN_OR_RETURN(frontend.protocol, ParseProtocol(text.substr(slash + 1)));
  ASSIGN_OR_RETURN(const HostPort parts, SplitHostPort(text.substr(0, slash)));
  if (!parts.port) {
    return InvalidArgument("frontend " + Quoted(text) +
                           " has no port: write ADDRESS:PORT/PROTOCOL, IPv6 as "
                           "[ADDRESS]:PORT/PROTOCOL, port 0 for any port");
  }
  frontend.address = parts.address;
  RETURN_IF_ERROR(ParsePorts(*parts.port, text.substr(0, slash), &frontend));
  return frontend;
}

std::string Frontend::ToString() const {
  const std::string last = is_range() ? "-" + std::to_string(last_port) : "";
  return WithPort(address, port) + last + "/" + std::string(ProtocolName(protocol));
}

}  // namespace fairlead
