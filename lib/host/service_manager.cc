#include "lib/host/service_manager.h"

#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include <sys/time.h>

namespace fairlead {
namespace {

// Removes the variable from the environment. Empty: it is not set.
std::string TakeVariable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  std::string text = value == nullptr ? "" : value;
  unsetenv(name);  // NOLINT(concurrency-mt-unsafe)
  return text;
}

std::optional<uint64_t> ReadPositive(const std::string& text) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value == 0) return std::nullopt;
  return value;
}

}  // namespace

ServiceManager ServiceManager::FromEnvironment() {
  ServiceManager manager;
  const std::string path = TakeVariable("NOTIFY_SOCKET");
  const std::optional<uint64_t> timeout_us = ReadPositive(TakeVariable("WATCHDOG_USEC"));
  const std::string pid = TakeVariable("WATCHDOG_PID");
  // "@" begins the name of an abstract socket.
  const bool is_usable = path.size() > 1 && (path[0] == '/' || path[0] == '@') &&
                         path.size() < sizeof(manager.address_.sun_path);
  if (!is_usable) return manager;
  manager.socket_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const timeval longest_wait = {5, 0};
  (void)setsockopt(manager.socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &longest_wait,
                   sizeof(longest_wait));
  manager.address_.sun_family = AF_UNIX;
  path.copy(manager.address_.sun_path, path.size());
  if (path[0] == '@') manager.address_.sun_path[0] = '\0';
  // The terminating zero belongs to a path, but not to an abstract name.
  manager.address_length_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                                   (path[0] == '@' ? 0 : 1));
  // The watchdog of another process, such as our parent, is not ours.
  const bool is_ours = pid.empty() || pid == std::to_string(getpid());
  if (timeout_us && is_ours) {
    manager.watchdog_timeout_ = std::chrono::microseconds(static_cast<int64_t>(*timeout_us));
  }
  return manager;
}

ServiceManager::ServiceManager(ServiceManager&& other) noexcept
    : socket_(std::move(other.socket_)),
      address_(other.address_),
      address_length_(other.address_length_),
      watchdog_timeout_(other.watchdog_timeout_),
      last_status_(std::move(other.last_status_)) {}

void ServiceManager::SetStatus(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (!socket_.valid() || text == last_status_) return;
  std::string message = "STATUS=" + text;
  // A newline would begin another assignment.
  for (char& c : message) {
    if (c == '\n') c = ' ';
  }
  if (Send(message)) last_status_ = text;
}

void ServiceManager::ExtendStart(std::chrono::seconds time) {
  Send("EXTEND_TIMEOUT_USEC=" +
       std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(time).count()));
}

bool ServiceManager::Send(std::string_view message, int flags) {
  if (!socket_.valid()) return false;
  // A failure is ignored: the service manager may be restarting, and the next message may succeed.
  return sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL | flags,
                reinterpret_cast<const sockaddr*>(&address_), address_length_) >= 0;
}

}  // namespace fairlead
