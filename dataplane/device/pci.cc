// A NIC with a DPDK poll-mode driver, named by its PCI address.
#include <algorithm>

#include "dataplane/device/device.h"
#include "dataplane/device/pci_device.h"

namespace fairlead {
namespace {

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

Status Parse(std::string_view text, DeviceSpec* spec) {
  spec->target = text.size() == 7 ? "0000:" + std::string(text) : std::string(text);
  // As sysfs and DPDK write it.
  std::transform(spec->target.begin(), spec->target.end(), spec->target.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return {};
}

std::string Claim(const DeviceSpec& spec) { return "device " + spec.target; }

Status Check(const DeviceSpec& spec) { return CheckPciDevice(spec.target); }

bool IsPresent(const DeviceSpec& spec) { return Check(spec).ok(); }

}  // namespace

constinit const DeviceKind kPciDevice = {.syntax = "a PCI address (0000:3b:00.0)",
                                         .name = {},
                                         .matches = IsPciAddress,
                                         .parse = Parse,
                                         .claim = Claim,
                                         .kernel_interface = KernelInterface::kOfDriver,
                                         .is_pci = true,
                                         .sets_mtu = true,
                                         .check = Check,
                                         .is_present = IsPresent};

}  // namespace fairlead
