#include "lib/host/text_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "lib/base/error_text.h"
#include "lib/host/unique_fd.h"

namespace fairlead {

Result<std::string> ReadTextFile(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.valid() && errno == ENOENT) return NotFound(path + " does not exist");
  if (!file.valid()) return Unavailable(path + " cannot be read: " + ErrorText());
  std::string text;
  for (;;) {
    char bytes[4096];
    const ssize_t count = read(file.get(), bytes, sizeof(bytes));
    if (count == 0) return text;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Unavailable(path + " cannot be read: " + ErrorText());
    text.append(bytes, static_cast<size_t>(count));
  }
}

}  // namespace fairlead
