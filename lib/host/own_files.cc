#include "lib/host/own_files.h"

#include <fcntl.h>
#include <grp.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include <sys/stat.h>

#include "lib/base/error_text.h"

namespace fairlead {
namespace {

// errno's text, with what to do if the folder causes it.
std::string WriteErrorText() {
  const int error = errno;
  std::string text = ErrorText();
  if (error == ENOSPC || error == EDQUOT) text += "; free space in its folder";
  if (error == EROFS || error == EACCES || error == EPERM) text += "; make its folder writable";
  return text;
}

Status Refuse(const std::string& path, const std::string& what) {
  return FailedPrecondition(path + " " + what + "; left unchanged");
}

Status CheckIsOwn(const std::string& path, const struct stat& info) {
  if (S_ISLNK(info.st_mode)) return Refuse(path, "is a symbolic link");
  if (!S_ISREG(info.st_mode)) return Refuse(path, "is not a regular file");
  if (info.st_uid != geteuid()) {
    const std::string user = std::to_string(geteuid());
    const std::string owner = std::to_string(info.st_uid);
    return FailedPrecondition(path + " belongs to user " + owner + ", not to " + user +
                              "; left unchanged; give it to this process (chown " + user + " " +
                              path + "), or run it as user " + owner);
  }
  return {};
}

Status WriteAll(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t count = write(fd, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Unavailable(WriteErrorText());
    content.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

// mkdir with exactly that mode, whatever the umask is. False: it already existed.
Result<bool> MakeFolder(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), 0700) != 0) {
    if (errno == EEXIST) return false;
    return Unavailable(path + " cannot be created: " + WriteErrorText());
  }
  if (chmod(path.c_str(), mode) != 0) {
    return Unavailable(path + ": cannot set its mode: " + ErrorText());
  }
  return true;
}

}  // namespace

Result<UniqueFd> OpenOwnFile(const std::string& path, int flags) {
  UniqueFd file(open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0 && errno == ENOENT) return NotFound(path + " does not exist");
  if (file.get() < 0 && errno == ELOOP) return Refuse(path, "is a symbolic link");
  if (file.get() < 0) return Unavailable(path + " cannot be opened: " + ErrorText());
  struct stat info = {};
  if (fstat(file.get(), &info) != 0) return Unavailable(path + ": " + ErrorText());
  RETURN_IF_ERROR(CheckIsOwn(path, info));
  return file;
}

Result<UniqueFd> CreateOwnFile(const std::string& path, mode_t mode) {
  // Tries twice: another process may create the file between unlink and open.
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
      return Unavailable(path + " cannot be replaced: " + WriteErrorText());
    }
    UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.get() < 0 && errno == EEXIST) continue;
    if (file.get() < 0) return Unavailable(path + " cannot be created: " + WriteErrorText());
    if (fchmod(file.get(), mode) != 0) return Unavailable(path + ": " + ErrorText());
    return file;
  }
  return Unavailable(path + " cannot be created: another process keeps creating it");
}

Result<UniqueFd> OpenOrCreateOwnFile(const std::string& path, mode_t mode) {
  Result<UniqueFd> file = OpenOwnFile(path, O_RDWR);
  if (file.ok() || file.status().code() != ErrorCode::kNotFound) return file;
  return CreateOwnFile(path, mode);
}

Status ReplaceOwnFile(const std::string& path, std::string_view content, mode_t mode) {
  const std::string fresh = path + ".new";
  const auto give_up = [&](const std::string& message) {
    unlink(fresh.c_str());
    return Unavailable(message);
  };
  {
    ASSIGN_OR_RETURN(const UniqueFd file, CreateOwnFile(fresh, mode));
    const Status written = WriteAll(file.get(), content);
    if (!written.ok()) return give_up(fresh + " cannot be written: " + written.message());
  }
  if (rename(fresh.c_str(), path.c_str()) != 0) {
    return give_up(path + " cannot be replaced: " + WriteErrorText());
  }
  return {};
}

Status CheckOwnFile(const std::string& path) {
  struct stat info = {};
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return Unavailable(path + ": " + ErrorText());
  }
  return CheckIsOwn(path, info);
}

Status MakeRuntimeFolder(const std::string& path, const char* group) {
  if (path.empty()) return {};
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return {};
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!parent.empty() && !std::filesystem::is_directory(parent, error)) {
    // The parents belong to no group.
    RETURN_IF_ERROR(MakeRuntimeFolder(parent.string(), nullptr));
    if (chmod(parent.c_str(), 0755) != 0) return Unavailable(parent.string() + ": " + ErrorText());
  }
  const struct group* entry = geteuid() == 0 && group != nullptr
                                  ? getgrnam(group)
                                  : nullptr;  // NOLINT(concurrency-mt-unsafe)
  ASSIGN_OR_RETURN(const bool made, MakeFolder(path, entry != nullptr ? 0751 : 0750));
  if (made && entry != nullptr && chown(path.c_str(), 0, entry->gr_gid) != 0) {
    return Unavailable(path + ": cannot set its group: " + ErrorText());
  }
  return {};
}

Status MakePrivateFolder(const std::string& path) {
  ASSIGN_OR_RETURN(const bool made, MakeFolder(path, 0700));
  if (made) return {};
  struct stat info = {};
  if (lstat(path.c_str(), &info) != 0) return Unavailable(path + ": " + ErrorText());
  if (S_ISLNK(info.st_mode)) return Refuse(path, "is a symbolic link");
  if (!S_ISDIR(info.st_mode)) return Refuse(path, "is not a folder");
  if (info.st_uid != geteuid()) {
    return Refuse(path, "belongs to user " + std::to_string(info.st_uid));
  }
  return {};
}

}  // namespace fairlead
