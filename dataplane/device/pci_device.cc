#include "dataplane/device/pci_device.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

#include <net/if.h>

namespace fairlead {
namespace {

namespace fs = std::filesystem;

// Drivers that give the device to a user process, and drivers that share it with DPDK (through
// rdma-core).
constexpr std::array<std::string_view, 6> kUsableDrivers = {
    "vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_core", "mlx4_core", "mana"};

bool IsUsable(std::string_view driver) {
  // Some devices have a VFIO driver of their own, such as mlx5_vfio_pci.
  return std::find(kUsableDrivers.begin(), kUsableDrivers.end(), driver) != kUsableDrivers.end() ||
         driver.find("vfio") != std::string_view::npos;
}

std::vector<std::string> NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The folder in sysfs of the device's kernel interface; empty: it has none. The interface of a
// virtio device belongs to a device below it (virtio0).
fs::path InterfaceOf(const fs::path& device) {
  std::vector<fs::path> owners = {device};
  for (const std::string& name : NamesIn(device)) {
    if (name.starts_with("virtio")) owners.push_back(device / name);
  }
  for (const fs::path& owner : owners) {
    const std::vector<std::string> names = NamesIn(owner / "net");
    if (!names.empty()) return owner / "net" / names.front();
  }
  return {};
}

bool IsUp(const fs::path& interface) {
  unsigned flags = 0;
  std::ifstream(interface / "flags") >> std::hex >> flags;
  return (flags & IFF_UP) != 0;
}

// dpdk-devbind.py refuses to take an interface away that has an IPv4 route.
bool HasRoutes(const std::string& interface, const fs::path& proc) {
  std::ifstream table(proc / "net/route");
  for (std::string line; std::getline(table, line);) {
    std::string name;
    std::istringstream(line) >> name;
    if (name == interface) return true;
  }
  return false;
}

}  // namespace

Status CheckPciDevice(const std::string& address, const PciRoots& roots) {
  const fs::path device = fs::path(roots.sys) / "bus/pci/devices" / address;
  const std::string bind = "dpdk-devbind.py --bind=vfio-pci " + address;
  std::error_code error;
  if (!fs::exists(device, error)) {
    return NotFound("this host has no PCI device " + address +
                    "; dpdk-devbind.py --status-dev net lists its NICs");
  }
  const std::string driver = fs::read_symlink(device / "driver", error).filename();
  if (driver.empty()) {
    return FailedPrecondition(address + " is bound to no driver; run: " + bind);
  }
  if (IsUsable(driver)) return {};
  const std::string in_use = address + " is in use by the kernel's driver " + driver;
  const fs::path interface = InterfaceOf(device);
  if (interface.empty()) return FailedPrecondition(in_use + "; run: " + bind);
  const std::string name = interface.filename();
  const bool has_routes = HasRoutes(name, roots.proc);
  const bool is_up = IsUp(interface) || has_routes;
  return FailedPrecondition(
      in_use + " as interface " + name +
      (has_routes
           ? ", which is up and has routes; first make sure that this host does not need them"
       : is_up ? ", which is up"
               : "") +
      "; run: " + (is_up ? "ip link set " + name + " down && " : "") + bind +
      "; or leave the NIC to the kernel with device: af_xdp:" + name);
}

}  // namespace fairlead
