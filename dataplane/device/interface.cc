#include "dataplane/device/interface.h"

#include <ifaddrs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <utility>

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

// Replaces libc's setsockopt in the whole process. net_af_packet before DPDK 24.11 always asks the
// kernel to reassemble IPv4 fragments in its fanout, and a datagram larger than a ring entry would
// arrive truncated. This function removes that flag. All other calls pass unchanged.
extern "C" int setsockopt(int fd, int level, int name, const void* value,
                          socklen_t length) noexcept {
  int fanout = 0;
  if (level == SOL_PACKET && name == PACKET_FANOUT && length == sizeof(fanout)) {
    std::memcpy(&fanout, value, sizeof(fanout));
    fanout &= ~(PACKET_FANOUT_FLAG_DEFRAG << 16);
    value = &fanout;
  }
  return static_cast<int>(syscall(SYS_setsockopt, fd, level, name, value, length));
}

namespace fairlead {

Result<uint16_t> ReadInterfaceMtu(const std::string& interface) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Internal(std::string("cannot create a socket: ") + std::strerror(errno));
  ifreq request = {};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  const int result = ioctl(fd, SIOCGIFMTU, &request);
  close(fd);
  if (result < 0) return NotFound("interface '" + interface + "' does not exist");
  // Loopback has 65536.
  return static_cast<uint16_t>(std::min(request.ifr_mtu, 65535));
}

bool ReadInterfaceRunning(const std::string& interface) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  ifreq request = {};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  const int result = ioctl(fd, SIOCGIFFLAGS, &request);
  close(fd);
  return result == 0 && (request.ifr_flags & IFF_UP) != 0 && (request.ifr_flags & IFF_RUNNING) != 0;
}

std::string ReadInterfaceDriver(const std::string& interface) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return "";
  ethtool_drvinfo info = {};
  info.cmd = ETHTOOL_GDRVINFO;
  ifreq request = {};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&info);
  const int result = ioctl(fd, SIOCETHTOOL, &request);
  close(fd);
  return result < 0 ? "" : std::string(info.driver, strnlen(info.driver, sizeof(info.driver)));
}

InterfaceQueues ReadInterfaceQueues(const std::string& interface) {
  InterfaceQueues queues;
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return queues;
  ethtool_channels channels = {};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request = {};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&channels);
  const int result = ioctl(fd, SIOCETHTOOL, &request);
  close(fd);
  if (result < 0) return queues;
  queues.rx = std::max(channels.rx_count + channels.combined_count, 1U);
  queues.combined = std::max(channels.combined_count, 1U);
  queues.max_combined = std::max(channels.max_combined, 1U);
  return queues;
}

Result<std::vector<HostAddress>> ReadHostAddresses() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) {
    return Internal(std::string("cannot read the host's addresses: ") + std::strerror(errno));
  }
  std::vector<HostAddress> addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const bool on_loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
    if (entry->ifa_addr->sa_family == AF_INET) {
      sockaddr_in address;
      std::memcpy(&address, entry->ifa_addr, sizeof(address));
      const auto bytes = std::bit_cast<std::array<uint8_t, 4>>(address.sin_addr.s_addr);
      addresses.push_back({IpAddress::FromV4(bytes), on_loopback});
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 address;
      std::memcpy(&address, entry->ifa_addr, sizeof(address));
      const std::span<const uint8_t, 16> bytes(address.sin6_addr.s6_addr, 16);
      addresses.push_back({IpAddress::FromV6(bytes), on_loopback});
    }
  }
  freeifaddrs(list);
  return addresses;
}

Result<PortClaim> PortClaim::Take(const std::string& claim) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string name = "fairlead/" + claim;
  // An abstract name begins with a zero byte. The address length gives its length.
  const size_t length = std::min(name.size(), sizeof(address.sun_path) - 1);
  std::memcpy(address.sun_path + 1, name.data(), length);
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Internal(std::string("cannot create a socket: ") + std::strerror(errno));
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), bytes) != 0) {
    const int error = errno;
    close(fd);
    if (error == EADDRINUSE) {
      return FailedPrecondition("already in use by another fairlead-dataplane");
    }
    return Internal(std::string("not available: cannot bind the claim's socket: ") +
                    std::strerror(error));
  }
  return PortClaim(fd);
}

PortClaim::PortClaim(PortClaim&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

PortClaim::~PortClaim() {
  if (fd_ >= 0) close(fd_);
}

void IgnoreOutgoingOnPacketSockets() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const std::string name = entry.path().filename();
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    int domain = 0;
    socklen_t length = sizeof(domain);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_PACKET) {
      continue;
    }
    // Best effort: kernels before 4.20 do not have this option.
    const int on = 1;
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
  }
}

}  // namespace fairlead
