#include "dataplane/device/tap_interface.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/base/error_text.h"

namespace fairlead {
namespace {

constexpr const char* kTunDevice = "/dev/net/tun";

ifreq RequestFor(const std::string& name) {
  ifreq request = {};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

Status AttachError(int error) {
  switch (error) {
    case EINVAL:
      return FailedPrecondition(
          "already exists, and is not a TAP interface of several queues; choose another name, or "
          "remove it (ip link delete NAME)");
    case EBUSY:
      return FailedPrecondition("is in use by another process; stop it, or choose another name");
    case EPERM:
      return FailedPrecondition("cannot be created: it needs CAP_NET_ADMIN");
    case E2BIG:
      return FailedPrecondition("cannot have one queue for each worker: it has at most 256");
    default:
      return FailedPrecondition(std::string("cannot be created: ") + std::strerror(error));
  }
}

// Opens one queue of the interface, which is created if it does not exist.
Result<UniqueFd> OpenQueue(const std::string& name) {
  UniqueFd fd(::open(kTunDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) {
    return FailedPrecondition("cannot be created: " + std::string(kTunDevice) + ": " + ErrorText() +
                              "; is the kernel module loaded (modprobe tun)?");
  }
  ifreq request = RequestFor(name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE;
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) return AttachError(errno);
  // An earlier owner may have asked for partial checksums or large segments.
  if (::ioctl(fd.get(), TUNSETOFFLOAD, 0) != 0) {
    return FailedPrecondition("cannot switch its offloads off: " + ErrorText());
  }
  return fd;
}

// Sets the MAC where it differs. `fd`: a queue of the interface. Returns the MAC before.
Result<MacAddress> SetMac(int fd, const MacAddress& mac) {
  ifreq request = {};
  if (::ioctl(fd, SIOCGIFHWADDR, &request) != 0) {
    return FailedPrecondition("has no MAC: " + ErrorText());
  }
  MacAddress before;
  std::memcpy(before.bytes.data(), request.ifr_hwaddr.sa_data, before.bytes.size());
  if (before == mac) return before;
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, mac.bytes.data(), mac.bytes.size());
  if (::ioctl(fd, SIOCSIFHWADDR, &request) != 0) {
    return FailedPrecondition("rejects the port's MAC " + mac.ToString() + ": " + ErrorText());
  }
  return before;
}

// Sets MTU and the flag UP, where they differ.
Status Configure(const TapSetting& setting) {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Internal("cannot create a socket: " + ErrorText());
  ifreq request = RequestFor(setting.name);
  request.ifr_mtu = setting.mtu;
  if (::ioctl(fd.get(), SIOCSIFMTU, &request) != 0) {
    return FailedPrecondition("rejects the port's MTU " + std::to_string(setting.mtu) + ": " +
                              ErrorText());
  }
  request = RequestFor(setting.name);
  if (::ioctl(fd.get(), SIOCGIFFLAGS, &request) != 0 ||
      ((request.ifr_flags & IFF_UP) == 0 &&
       (request.ifr_flags |= IFF_UP, ::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0))) {
    return FailedPrecondition("cannot be set up: " + ErrorText());
  }
  return {};
}

}  // namespace

Result<TapInterface> TapInterface::Open(const TapSetting& setting) {
  Result<PortClaim> claim = PortClaim::Take("interface " + setting.name);
  if (!claim.ok()) return FailedPrecondition("is " + claim.status().message());
  TapInterface tap(*std::move(claim), setting.mac);
  for (uint32_t queue = 0; queue < setting.queues; ++queue) {
    ASSIGN_OR_RETURN(UniqueFd fd, OpenQueue(setting.name));
    tap.queues_.push_back(std::move(fd));
  }
  RETURN_IF_ERROR(SetMac(tap.queues_.front().get(), setting.mac).status());
  RETURN_IF_ERROR(Configure(setting));
  if (::ioctl(tap.queues_.front().get(), TUNSETPERSIST, 1) != 0) {
    return FailedPrecondition("cannot be made to outlive this process: " + ErrorText());
  }
  return tap;
}

size_t TapInterface::Read(uint32_t queue, std::span<uint8_t> room) const {
  const ssize_t count = ::read(queues_[queue].get(), room.data(), room.size());
  return count < 0 ? 0 : static_cast<size_t>(count);
}

bool TapInterface::Write(uint32_t queue, std::span<const uint8_t> frame) const {
  return ::write(queues_[queue].get(), frame.data(), frame.size()) ==
         static_cast<ssize_t>(frame.size());
}

void TapInterface::SetCarrier(bool has_carrier) {
  // Kernels before 4.20 do not have this call. There, the interface has a carrier as long as it is
  // open.
  const int value = has_carrier ? 1 : 0;
  ::ioctl(queues_.front().get(), TUNSETCARRIER, &value);
}

bool TapInterface::IsDeleted() const {
  ifreq request = {};
  return ::ioctl(queues_.front().get(), TUNGETIFF, &request) != 0 && errno == EBADFD;
}

std::optional<MacAddress> TapInterface::RestoreMac() {
  const Result<MacAddress> before = SetMac(queues_.front().get(), mac_);
  if (!before.ok() || *before == mac_) return std::nullopt;
  return *before;
}

}  // namespace fairlead
