#include "controlplane/http/socket.h"

#include <cerrno>
#include <filesystem>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "controlplane/common/system_error.h"
#include "lib/host/own_files.h"

namespace fairlead {
namespace {

constexpr mode_t kSocketMode = 0660;

// Allows a path that does not exist, or a socket that no process listens on. Refuses everything
// else.
Status InspectPath(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return SystemError(path);
  }
  if (S_ISLNK(info.st_mode)) {
    return FailedPrecondition(path +
                              " is a symbolic link, which fairleadd does not follow; remove it");
  }
  if (!S_ISSOCK(info.st_mode)) {
    return FailedPrecondition(path +
                              " exists and is not a socket; remove it, or choose another --socket");
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return SystemError("socket");
  const int code =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (code == 0 || errno == EAGAIN) {
    return FailedPrecondition("another fairleadd already listens on " + path +
                              "; stop it first, or choose another --socket");
  }
  if (errno != ECONNREFUSED) return SystemError(path);
  return {};
}

}  // namespace

Result<ListeningSocket> ListenUnix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // The socket is made under a temporary name and then renamed. This replaces a stale socket in one
  // step, and never follows a link.
  const std::string fresh = path + ".new";
  if (fresh.size() >= sizeof(address.sun_path)) {
    return InvalidArgument(path + " is longer than a socket's path may be (" +
                           std::to_string(sizeof(address.sun_path) - 5) + " bytes)");
  }
  RETURN_IF_ERROR(MakeRuntimeFolder(std::filesystem::path(path).parent_path().string()));

  path.copy(address.sun_path, path.size());
  RETURN_IF_ERROR(InspectPath(path, address));

  ListeningSocket listening;
  listening.path = path;
  listening.fd = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listening.fd.valid()) return SystemError("socket");
  if (::unlink(fresh.c_str()) != 0 && errno != ENOENT) return SystemError(fresh);
  fresh.copy(address.sun_path, fresh.size());
  const auto cannot_create = [&] {
    return Unavailable("cannot create the API's socket " + path + ": " + ErrorText() +
                       "; make its folder writable and free space in it, or choose another "
                       "--socket");
  };
  const mode_t old_mask = ::umask(0777 & ~kSocketMode);
  const int bound =
      ::bind(listening.fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  ::umask(old_mask);  // does not change errno
  if (bound != 0) return cannot_create();
  struct stat info {};
  if (::listen(listening.fd.get(), SOMAXCONN) != 0 || ::lstat(fresh.c_str(), &info) != 0 ||
      ::rename(fresh.c_str(), path.c_str()) != 0) {
    const Status status = cannot_create();
    ::unlink(fresh.c_str());
    return status;
  }
  listening.inode = info.st_ino;
  return listening;
}

void RemoveSocket(const ListeningSocket& socket) {
  struct stat info {};
  if (::lstat(socket.path.c_str(), &info) != 0 || info.st_ino != socket.inode) return;
  ::unlink(socket.path.c_str());
}

}  // namespace fairlead
