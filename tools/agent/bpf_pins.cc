#include "tools/agent/bpf_pins.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/vfs.h>

namespace fairlead::agent {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBpfFileSystem = "/sys/fs/bpf";
constexpr std::string_view kNewSuffix = "+new";

bool IsBpfFileSystem(const fs::path& path) {
  struct statfs info {};
  return statfs(path.c_str(), &info) == 0 && static_cast<uint32_t>(info.f_type) == BPF_FS_MAGIC;
}

std::string Encode(const std::string& interface) {
  std::string name;
  for (char c : interface) {
    if (c == '.')
      name += "%2e";
    else if (c == '%')
      name += "%25";
    else if (c == '+')
      name += "%2b";
    else
      name += c;
  }
  return name;
}

std::string Decode(std::string_view name) {
  std::string interface;
  for (size_t i = 0; i < name.size(); ++i) {
    const std::string_view code = name.substr(i, 3);
    if (code == "%2e" || code == "%25" || code == "%2b") {
      interface += code == "%2e" ? '.' : code == "%25" ? '%' : '+';
      i += 2;
    } else {
      interface += name[i];
    }
  }
  return interface;
}

Status Failed(const std::string& what, const std::error_code& error) {
  return Internal(what + ": " + error.message());
}

}  // namespace

Status BpfPins::Prepare() const {
  const fs::path parent = root_.parent_path();
  if (!IsBpfFileSystem(parent)) {
    if (parent != kBpfFileSystem)
      return FailedPrecondition(
          "'" + parent.string() +
          "' is not in a BPF file system; mount one there: mount -t bpf bpf " + parent.string());
    if (mount("bpf", kBpfFileSystem, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0)
      return FailedPrecondition(std::string("no BPF file system at ") + kBpfFileSystem +
                                ", and mounting one failed: " + std::strerror(errno));
  }
  std::error_code error;
  fs::create_directory(root_, error);
  if (error) return Failed("cannot make " + root_.string(), error);
  return {};
}

Result<int> BpfPins::Lock() const {
  const int fd = open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Internal("cannot open " + root_.string() + ": " + std::strerror(errno));
  if (flock(fd, LOCK_EX) != 0) {
    const int error = errno;
    close(fd);
    return Internal("cannot lock " + root_.string() + ": " + std::strerror(error));
  }
  return fd;
}

fs::path BpfPins::Folder(const std::string& interface) const { return root_ / Encode(interface); }

fs::path BpfPins::NewFolder(const std::string& interface) const {
  return root_ / (Encode(interface) + std::string(kNewSuffix));
}

std::vector<std::string> BpfPins::Interfaces() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(root_, error)) {
    const std::string name = entry.path().filename();
    if (!name.ends_with(kNewSuffix)) names.push_back(Decode(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status BpfPins::MakeNewFolder(const std::string& interface) const {
  RETURN_IF_ERROR(RemoveNewFolder(interface));
  std::error_code error;
  fs::create_directory(NewFolder(interface), error);
  if (error) return Failed("cannot make " + NewFolder(interface).string(), error);
  return {};
}

Status BpfPins::RemoveNewFolder(const std::string& interface) const {
  std::error_code error;
  fs::remove_all(NewFolder(interface), error);
  if (error) return Failed("cannot remove " + NewFolder(interface).string(), error);
  return {};
}

Status BpfPins::ReplaceByNew(const std::string& interface) const {
  std::error_code error;
  fs::remove_all(Folder(interface), error);
  if (!error) fs::rename(NewFolder(interface), Folder(interface), error);
  if (error) return Failed("cannot replace " + Folder(interface).string(), error);
  return {};
}

Status BpfPins::Remove(const std::string& interface) const {
  RETURN_IF_ERROR(RemoveNewFolder(interface));
  std::error_code error;
  fs::remove_all(Folder(interface), error);
  if (error) return Failed("cannot remove " + Folder(interface).string(), error);
  return {};
}

}  // namespace fairlead::agent
