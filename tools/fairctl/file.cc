#include "tools/fairctl/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <sys/stat.h>

namespace fairlead::fairctl {
namespace {

Status SystemError(const std::string& path, int error) {
  const std::string message = path + ": " + std::strerror(error);
  return error == ENOENT ? NotFound(message) : FailedPrecondition(message);
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// Returns 0, or errno.
int WriteAndSync(std::FILE* file, std::string_view content) {
  if (std::fwrite(content.data(), 1, content.size(), file) != content.size()) return errno;
  if (std::fflush(file) != 0 || fsync(fileno(file)) != 0) return errno;
  return 0;
}

}  // namespace

Result<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return SystemError(path, errno);
  std::string content;
  char chunk[65536];
  for (;;) {
    const size_t count = std::fread(chunk, 1, sizeof(chunk), file.get());
    if (std::ferror(file.get()) != 0) return SystemError(path, errno);
    if (count == 0) return content;
    if (content.size() + count > max_bytes) {
      return ResourceExhausted(path + ": longer than " + std::to_string(max_bytes) + " bytes");
    }
    content.append(chunk, count);
  }
}

Status CheckReplaceable(const std::string& path) {
  struct stat info = {};
  if (lstat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return {};
  const char* const what = S_ISDIR(info.st_mode)   ? "is a folder"
                           : S_ISLNK(info.st_mode) ? "is a symbolic link"
                                                   : "is not a regular file";
  return FailedPrecondition(path + " " + what +
                            ", so it is left unchanged; name a new file, or a regular file to "
                            "replace");
}

Status WriteFile(const std::string& path, std::string_view content) {
  RETURN_IF_ERROR(CheckReplaceable(path));
  const std::string beside = path + ".new";
  std::remove(beside.c_str());
  // O_EXCL: never writes through a link that another user left there.
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return SystemError(beside, errno);
  int error = 0;
  {
    const File file(fdopen(fd, "wb"));
    error = file == nullptr ? errno : WriteAndSync(file.get(), content);
  }
  if (error == 0 && std::rename(beside.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return {};
  std::remove(beside.c_str());
  return SystemError(path, error);
}

}  // namespace fairlead::fairctl
