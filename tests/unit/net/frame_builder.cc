#include "tests/unit/net/frame_builder.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace fairlead::testing {
namespace {

void Append16(Bytes* bytes, uint32_t value) {
  bytes->push_back(static_cast<uint8_t>(value >> 8));
  bytes->push_back(static_cast<uint8_t>(value));
}

void Append32(Bytes* bytes, uint32_t value) {
  Append16(bytes, value >> 16);
  Append16(bytes, value & 0xffff);
}

void AppendAddress(Bytes* bytes, std::string_view text) {
  const IpAddress address = Address(text);
  bytes->insert(bytes->end(), address.wire().begin(), address.wire().end());
}

void AppendMac(Bytes* bytes, std::string_view text) {
  const MacAddress mac = Mac(text);
  bytes->insert(bytes->end(), mac.bytes.begin(), mac.bytes.end());
}

Bytes Icmp(uint8_t type, uint8_t code, uint32_t rest, const Bytes& payload) {
  Bytes icmp = {type, code, 0, 0};
  Append32(&icmp, rest);
  return std::move(icmp) + payload;
}

}  // namespace

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

void Put16(Bytes* bytes, size_t offset, uint32_t value) {
  CHECK(offset + 2 <= bytes->size());
  (*bytes)[offset] = static_cast<uint8_t>(value >> 8);
  (*bytes)[offset + 1] = static_cast<uint8_t>(value);
}

uint32_t Get16(const Bytes& bytes, size_t offset) {
  CHECK(offset + 2 <= bytes.size());
  return static_cast<uint32_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

uint32_t SlowChecksum(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    sum += uint32_t{bytes[i]} * 256 + (i + 1 < bytes.size() ? bytes[i + 1] : 0);
    if (sum > 0xffff) sum -= 0xffff;  // end-around carry
  }
  return 0xffff - sum;
}

uint32_t SlowL4Checksum(std::string_view source, std::string_view destination, uint8_t protocol,
                        const Bytes& segment) {
  Bytes all;
  AppendAddress(&all, source);
  AppendAddress(&all, destination);
  Append32(&all, static_cast<uint32_t>(segment.size()));
  Append32(&all, protocol);
  return SlowChecksum(std::move(all) + segment);
}

IpAddress Address(std::string_view text) {
  const Result<IpAddress> address = IpAddress::Parse(text);
  CHECK(address.ok());
  return *address;
}

MacAddress Mac(std::string_view text) {
  const Result<MacAddress> mac = MacAddress::Parse(text);
  CHECK(mac.ok());
  return *mac;
}

Bytes Ethernet(uint32_t type, const Bytes& payload, const EthernetFields& fields) {
  Bytes frame;
  AppendMac(&frame, fields.destination);
  AppendMac(&frame, fields.source);
  for (const uint32_t tag : fields.tags) Append32(&frame, tag);
  Append16(&frame, type);
  return std::move(frame) + payload;
}

Bytes Ipv4(const Bytes& payload, const Ipv4Fields& fields) {
  const size_t header_length = 20 + fields.options.size();
  Bytes ip = {fields.version_ihl.value_or(static_cast<uint8_t>(0x40 | header_length / 4)),
              fields.tos};
  Append16(&ip,
           fields.total_length.value_or(static_cast<uint32_t>(header_length + payload.size())));
  Append16(&ip, fields.id);
  Append16(&ip, fields.flags_fragment);
  ip.push_back(fields.ttl);
  ip.push_back(fields.protocol);
  Append16(&ip, 0);
  AppendAddress(&ip, fields.source);
  AppendAddress(&ip, fields.destination);
  ip = std::move(ip) + fields.options;
  Put16(&ip, 10, SlowChecksum(ip));
  return std::move(ip) + payload;
}

Bytes Ipv6(const Bytes& payload, const Ipv6Fields& fields) {
  Bytes ip;
  Append32(&ip, fields.version_class_flow);
  Append16(&ip, fields.payload_length.value_or(static_cast<uint32_t>(payload.size())));
  ip.push_back(fields.next_header);
  ip.push_back(fields.hop_limit);
  AppendAddress(&ip, fields.source);
  AppendAddress(&ip, fields.destination);
  return std::move(ip) + payload;
}

Bytes Tcp(const TcpFields& fields, const Bytes& payload) {
  Bytes tcp;
  Append16(&tcp, fields.source_port);
  Append16(&tcp, fields.destination_port);
  Append32(&tcp, 0x01020304);  // sequence
  Append32(&tcp, 0x05060708);  // acknowledgment
  const auto words = static_cast<uint8_t>(5 + fields.options.size() / 4);
  tcp.push_back(static_cast<uint8_t>(fields.data_offset.value_or(words) << 4));
  tcp.push_back(fields.flags);
  Append16(&tcp, 0xffff);  // window
  Append32(&tcp, 0xabcd0000);
  return std::move(tcp) + fields.options + payload;
}

Bytes Udp(const UdpFields& fields, const Bytes& payload) {
  Bytes udp;
  Append16(&udp, fields.source_port);
  Append16(&udp, fields.destination_port);
  Append16(&udp, fields.length.value_or(static_cast<uint32_t>(8 + payload.size())));
  Append16(&udp, fields.checksum);
  return std::move(udp) + payload;
}

Bytes Icmp4(uint8_t type, uint8_t code, uint32_t rest, const Bytes& payload) {
  Bytes icmp = Icmp(type, code, rest, payload);
  Put16(&icmp, 2, SlowChecksum(icmp));
  return icmp;
}

Bytes Icmp6(uint8_t type, uint8_t code, uint32_t rest, const Bytes& payload,
            std::string_view source, std::string_view destination) {
  Bytes icmp = Icmp(type, code, rest, payload);
  Put16(&icmp, 2, SlowL4Checksum(source, destination, 58, icmp));
  return icmp;
}

Bytes Extension(uint8_t next_header, uint8_t more_units) {
  const size_t size = 8 + size_t{more_units} * 8;
  Bytes header = {next_header, more_units};
  while (header.size() < size) {  // PadN options, 257 bytes at most each
    const size_t left = size - header.size();
    if (left == 1) {
      header.push_back(0);  // Pad1
      break;
    }
    const auto data = static_cast<uint8_t>(std::min<size_t>(left - 2, 255));
    header.push_back(1);
    header.push_back(data);
    header.resize(header.size() + data);
  }
  return header;
}

Bytes RoutingHeader(uint8_t next_header, uint8_t segments_left) {
  return {next_header, 0, 4, segments_left, 0, 0, 0, 0};
}

Bytes FragmentHeader(uint8_t next_header, uint32_t offset_bytes, bool more, uint32_t id) {
  Bytes header = {next_header, 0};
  Append16(&header, offset_bytes | (more ? 1 : 0));
  Append32(&header, id);
  return header;
}

Bytes AuthenticationHeader(uint8_t next_header, uint8_t length_field) {
  Bytes header((size_t{length_field} + 2) * 4, 0xa5);
  header[0] = next_header;
  header[1] = length_field;
  return header;
}

}  // namespace fairlead::testing
