// Shared memory with another process.
#include <bit>
#include <charconv>

#include "dataplane/device/device.h"
#include "dataplane/device/split_at_commas.h"

namespace fairlead {
namespace {

constexpr uint32_t kMaxRing = 1U << 14;

// Parses `part` from `offset` to its end.
bool ReadNumber(const std::string& part, size_t offset, uint32_t* number) {
  const char* const end = part.data() + part.size();
  const auto [stop, error] = std::from_chars(part.data() + offset, end, *number);
  return error == std::errc() && stop == end;
}

Status Parse(std::string_view rest, DeviceSpec* spec) {
  const auto refuse = [&](const std::string& what) {
    return InvalidArgument("device '" + spec->text + "': " + what);
  };
  const std::vector<std::string> parts = SplitAtCommas(rest);
  spec->target = parts[0];
  if (spec->target.empty()) return refuse("the socket's path is missing");
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part == "role=server" || part == "role=client") {
      spec->is_server = part == "role=server";
    } else if (part.starts_with("id=")) {
      if (!ReadNumber(part, 3, &spec->id)) return refuse("id is not a number: '" + part + "'");
    } else if (part.starts_with("ring=")) {
      if (!ReadNumber(part, 5, &spec->ring) || !std::has_single_bit(spec->ring) || spec->ring < 2 ||
          spec->ring > kMaxRing) {
        return refuse("ring is not a power of two from 2 to 16384: '" + part + "'");
      }
    } else {
      return refuse("'" + part +
                    "' is not a setting; write role=server, role=client, id=N or ring=ENTRIES");
    }
  }
  return {};
}

std::string Claim(const DeviceSpec& spec) {
  return "memif " + spec.target + " id " + std::to_string(spec.id);
}

std::string Arguments(const DeviceSpec& spec, const DeviceUse&) {
  return "socket=" + spec.target + ",socket-abstract=no,id=" + std::to_string(spec.id) +
         ",role=" + (spec.is_server ? "server" : "client") +
         (spec.ring == 0 ? "" : ",rsize=" + std::to_string(std::countr_zero(spec.ring)));
}

}  // namespace

constinit const DeviceKind kMemifDevice = {.syntax = "memif:PATH",
                                           .name = "memif",
                                           .parse = Parse,
                                           .claim = Claim,
                                           .vdev_prefix = "net_memif_fl",
                                           .vdev_arguments = Arguments};

}  // namespace fairlead
