// Tests with a sysfs of the test's own.
#include "dataplane/device/pci_device.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kAddress = "0000:3b:00.0";
constexpr const char* kBind = "run: dpdk-devbind.py --bind=vfio-pci 0000:3b:00.0";

class PciDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "fairlead-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    fs::create_directories(root_ / "proc/net");
    std::ofstream(root_ / "proc/net/route") << "Iface\tDestination\tGateway\n";
  }
  void TearDown() override { fs::remove_all(root_); }

  fs::path Device() const { return root_ / "sys/bus/pci/devices" / kAddress; }
  void AddDevice(const std::string& driver) {
    fs::create_directories(Device());
    if (driver.empty()) return;
    fs::create_directories(root_ / "sys/bus/pci/drivers" / driver);
    fs::create_symlink("../../drivers/" + driver, Device() / "driver");
  }
  // `owner`: the device below the PCI device that has the interface, such as "virtio0".
  void AddInterface(const std::string& name, bool is_up, const std::string& owner = "") {
    fs::create_directories(Device() / owner / "net" / name);
    std::ofstream(Device() / owner / "net" / name / "flags") << (is_up ? "0x1003\n" : "0x1002\n");
  }
  void AddRoute(const std::string& interface) {
    std::ofstream(root_ / "proc/net/route", std::ios::app) << interface << "\t000200C0\t00000000\n";
  }
  std::string Refusal() const {
    return CheckPciDevice(kAddress, {root_ / "sys", root_ / "proc"}).message();
  }

  fs::path root_;
};

TEST_F(PciDeviceTest, AcceptsADeviceThatDpdkCanDrive) {
  for (const char* driver : {"vfio-pci", "uio_pci_generic", "mlx5_core", "mlx5_vfio_pci"}) {
    fs::remove_all(root_ / "sys");
    AddDevice(driver);
    AddInterface("eth0", true);  // mlx5 keeps its interface
    EXPECT_EQ(Refusal(), "") << driver;
  }
}

TEST_F(PciDeviceTest, RefusesADeviceThatDoesNotExist) {
  EXPECT_EQ(Refusal(),
            "this host has no PCI device 0000:3b:00.0; dpdk-devbind.py --status-dev net lists its "
            "NICs");
}

TEST_F(PciDeviceTest, RefusesADeviceWithoutADriver) {
  AddDevice("");
  EXPECT_EQ(Refusal(), std::string("0000:3b:00.0 is bound to no driver; ") + kBind);
}

TEST_F(PciDeviceTest, NamesTheKernelsDriverAndInterface) {
  AddDevice("e1000e");
  EXPECT_EQ(Refusal(),
            std::string("0000:3b:00.0 is in use by the kernel's driver e1000e; ") + kBind);
  AddInterface("eth0", false);
  EXPECT_EQ(
      Refusal(),
      std::string("0000:3b:00.0 is in use by the kernel's driver e1000e as interface eth0; ") +
          kBind + "; or leave the NIC to the kernel with device: af_xdp:eth0");
}

TEST_F(PciDeviceTest, FindsTheInterfaceOfAVirtioDevice) {
  AddDevice("virtio-pci");
  AddInterface("ens3", false, "virtio0");
  EXPECT_THAT(Refusal(), HasSubstr("the kernel's driver virtio-pci as interface ens3"));
}

// dpdk-devbind.py does not take away an interface that has routes.
TEST_F(PciDeviceTest, WarnsOfAnInterfaceThatIsUpOrHasRoutes) {
  AddDevice("e1000e");
  AddInterface("eth0", true);
  AddRoute("eth01");
  EXPECT_THAT(Refusal(), HasSubstr("as interface eth0, which is up; run: ip link set eth0 down && "
                                   "dpdk-devbind.py --bind=vfio-pci 0000:3b:00.0; or leave"));
  AddRoute("eth0");
  EXPECT_THAT(Refusal(),
              HasSubstr("as interface eth0, which is up and has routes; first make sure "
                        "that this host does not need them; run: ip link set eth0 down"));
}

}  // namespace
}  // namespace fairlead
