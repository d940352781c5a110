#include "dataplane/config/device.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <vector>

namespace fairlead {
namespace {

constexpr size_t kMaxInterfaceName = 15;  // IFNAMSIZ less the terminator

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool IsHex(std::string_view text, size_t length) {
  return text.size() == length && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

// "0000:3b:00.0" or "3b:00.0".
bool IsPciAddress(std::string_view text) {
  if (text.size() == 12 && text[4] == ':' && IsHex(text.substr(0, 4), 4)) text.remove_prefix(5);
  return text.size() == 7 && text[2] == ':' && text[5] == '.' && IsHex(text.substr(0, 2), 2) &&
         IsHex(text.substr(3, 2), 2) && text[6] >= '0' && text[6] <= '7';
}

Status CheckInterface(std::string_view device, std::string_view name) {
  if (!name.empty() && name.size() <= kMaxInterfaceName &&
      name.find_first_of("/ ,") == std::string_view::npos) {
    return {};
  }
  return InvalidArgument("device '" + std::string(device) + "': '" + std::string(name) +
                         "' is no interface name");
}

constexpr uint32_t kMaxMemifRing = 1U << 14;

// The rest of `part` from `offset` on.
bool ReadNumber(const std::string& part, size_t offset, uint32_t* number) {
  const char* const end = part.data() + part.size();
  const auto [stop, error] = std::from_chars(part.data() + offset, end, *number);
  return error == std::errc() && stop == end;
}

Result<DeviceSpec> ParseMemif(DeviceSpec spec, std::string_view rest) {
  const std::vector<std::string> parts = Split(rest, ',');
  spec.target = parts[0];
  if (spec.target.empty()) {
    return InvalidArgument("device '" + spec.text + "': the socket's path is missing");
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part == "role=server" || part == "role=client") {
      spec.is_server = part == "role=server";
    } else if (part.starts_with("id=")) {
      if (!ReadNumber(part, 3, &spec.id)) {
        return InvalidArgument("device '" + spec.text + "': id is not a number: '" + part + "'");
      }
    } else if (part.starts_with("ring=")) {
      if (!ReadNumber(part, 5, &spec.ring) || !std::has_single_bit(spec.ring) || spec.ring < 2 ||
          spec.ring > kMaxMemifRing) {
        return InvalidArgument("device '" + spec.text +
                               "': ring is not a power of two within 2..16384: '" + part + "'");
      }
    } else {
      return InvalidArgument("device '" + spec.text + "': '" + part +
                             "' is neither role=server, role=client, id=N nor ring=ENTRIES");
    }
  }
  return spec;
}

Result<DeviceSpec> ParsePcap(DeviceSpec spec, std::string_view rest) {
  const std::vector<std::string> parts = Split(rest, ',');
  if (parts.size() != 2 || (parts[0].empty() && parts[1].empty())) {
    return InvalidArgument("device '" + spec.text +
                           "': two files are needed, pcap:IN,OUT; one of them may be empty");
  }
  spec.target = parts[0];
  spec.output = parts[1];
  return spec;
}

std::optional<DeviceKind> KindOfWord(std::string_view word) {
  if (word == "af_xdp") return DeviceKind::kAfXdp;
  if (word == "af_packet") return DeviceKind::kAfPacket;
  if (word == "tap") return DeviceKind::kTap;
  if (word == "memif") return DeviceKind::kMemif;
  if (word == "pcap") return DeviceKind::kPcap;
  if (word == "vdev") return DeviceKind::kVdev;
  return std::nullopt;
}

}  // namespace

std::string DeviceSpec::interface() const {
  const bool in_kernel =
      kind == DeviceKind::kAfXdp || kind == DeviceKind::kAfPacket || kind == DeviceKind::kTap;
  return in_kernel ? target : "";
}

std::string DeviceSpec::claim() const {
  switch (kind) {
    case DeviceKind::kNull:
    case DeviceKind::kRing:
      return "";
    case DeviceKind::kAfXdp:
    case DeviceKind::kAfPacket:
    case DeviceKind::kTap:
      return "interface " + target;
    case DeviceKind::kMemif:
      return "memif " + target + " id " + std::to_string(id);
    case DeviceKind::kPcap:
      return "pcap " + (output.empty() ? "reads " + target : "writes " + output);
    case DeviceKind::kPci:
    case DeviceKind::kVdev:
      return "device " + target;
  }
  return "";
}

Result<DeviceSpec> ParseDevice(std::string_view text) {
  DeviceSpec spec;
  spec.text = text;
  if (text == "null" || text == "ring") {
    spec.kind = text == "null" ? DeviceKind::kNull : DeviceKind::kRing;
    return spec;
  }
  if (IsPciAddress(text)) {
    spec.kind = DeviceKind::kPci;
    spec.target = text.size() == 7 ? "0000:" + std::string(text) : std::string(text);
    return spec;
  }
  const size_t colon = text.find(':');
  const std::optional<DeviceKind> kind = KindOfWord(text.substr(0, colon));
  if (colon == std::string_view::npos || !kind) {
    return InvalidArgument("device '" + std::string(text) +
                           "' is not known; write a PCI address (0000:3b:00.0), af_xdp:IF, "
                           "af_packet:IF, tap:NAME, memif:PATH, pcap:IN,OUT, null, ring or "
                           "vdev:NAME");
  }
  spec.kind = *kind;
  const std::string_view rest = text.substr(colon + 1);
  if (spec.kind == DeviceKind::kMemif) return ParseMemif(std::move(spec), rest);
  if (spec.kind == DeviceKind::kPcap) return ParsePcap(std::move(spec), rest);
  if (spec.kind != DeviceKind::kVdev) RETURN_IF_ERROR(CheckInterface(text, rest));
  if (rest.empty()) return InvalidArgument("device '" + spec.text + "': the name is missing");
  spec.target = rest;
  return spec;
}

std::string VdevName(const DeviceSpec& device, uint32_t port_index) {
  const std::string number = std::to_string(port_index);
  switch (device.kind) {
    case DeviceKind::kAfXdp:
      return "net_af_xdp_fl" + number;
    case DeviceKind::kAfPacket:
      return "net_af_packet_fl" + number;
    case DeviceKind::kTap:
      return "net_tap_fl" + number;
    case DeviceKind::kMemif:
      return "net_memif_fl" + number;
    case DeviceKind::kPcap:
      return "net_pcap_fl" + number;
    case DeviceKind::kNull:
      return "net_null_fl" + number;
    case DeviceKind::kRing:
      return "net_ring_fl" + number;
    case DeviceKind::kPci:
    case DeviceKind::kVdev:
      break;
  }
  return device.target;
}

std::string VdevArguments(const DeviceSpec& device, uint32_t queue_count, uint32_t frame_bytes,
                          const std::string& xdp_program) {
  const std::string queues = std::to_string(queue_count);
  switch (device.kind) {
    case DeviceKind::kAfXdp:
      return "iface=" + device.target + ",queue_count=" + queues + ",xdp_prog=" + xdp_program;
    case DeviceKind::kAfPacket: {
      // A frame lies behind up to 128 bytes of the kernel's own in its ring entry, and an entry
      // within one block. 2048 entries a ring ride out 100 ms of a busy neighbour at 20 kpps.
      const uint32_t entry = std::bit_ceil(std::max(frame_bytes + 128, 2048U));
      const uint32_t block = std::max(entry, 16384U);
      return "iface=" + device.target + ",qpairs=" + queues + ",framesz=" + std::to_string(entry) +
             ",blocksz=" + std::to_string(block) + ",framecnt=2048";
    }
    case DeviceKind::kTap:
      return "iface=" + device.target;
    case DeviceKind::kMemif:
      return "socket=" + device.target + ",socket-abstract=no,id=" + std::to_string(device.id) +
             ",role=" + (device.is_server ? "server" : "client") +
             (device.ring == 0 ? "" : ",rsize=" + std::to_string(std::countr_zero(device.ring)));
    case DeviceKind::kPcap:
      return std::string(device.target.empty() ? "" : "rx_pcap=" + device.target) +
             (device.target.empty() || device.output.empty() ? "" : ",") +
             (device.output.empty() ? "" : "tx_pcap=" + device.output);
    case DeviceKind::kNull:
      return "no-rx=1";
    case DeviceKind::kRing:
    case DeviceKind::kPci:
    case DeviceKind::kVdev:
      break;
  }
  return "";
}

}  // namespace fairlead
