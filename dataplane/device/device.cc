#include "dataplane/device/device.h"

#include <utility>

namespace fairlead {
namespace {

// Sets `rest` to the part of `text` that `kind` parses. False: `text` is of another kind.
bool MatchKind(const DeviceKind& kind, std::string_view text, std::string_view* rest) {
  *rest = text;
  if (kind.matches != nullptr) return kind.matches(text);
  if (kind.parse == nullptr) return text == kind.name;
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.substr(0, colon) != kind.name) return false;
  *rest = text.substr(colon + 1);
  return true;
}

Status UnknownDevice(std::string_view text) {
  std::string message = "unknown device '" + std::string(text) + "'; write ";
  const auto kinds = DeviceKinds();
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (i != 0) message += i + 1 == kinds.size() ? " or " : ", ";
    message += kinds[i]->syntax;
  }
  return InvalidArgument(std::move(message));
}

}  // namespace

std::string DeviceSpec::interface() const { return kind->is_interface ? target : ""; }

std::string DeviceSpec::claim() const { return kind->claim == nullptr ? "" : kind->claim(*this); }

Result<DeviceSpec> ParseDevice(std::string_view text) {
  for (const DeviceKind* kind : DeviceKinds()) {
    std::string_view rest;
    if (!MatchKind(*kind, text, &rest)) continue;
    DeviceSpec spec;
    spec.kind = kind;
    spec.text = text;
    if (kind->parse != nullptr) RETURN_IF_ERROR(kind->parse(rest, &spec));
    return spec;
  }
  return UnknownDevice(text);
}

std::string VdevName(const DeviceSpec& device, uint32_t port_index) {
  if (device.kind->vdev_prefix.empty()) return device.target;
  return std::string(device.kind->vdev_prefix) + std::to_string(port_index);
}

std::string VdevArguments(const DeviceSpec& device, const DeviceUse& use) {
  return device.kind->vdev_arguments == nullptr ? "" : device.kind->vdev_arguments(device, use);
}

}  // namespace fairlead
