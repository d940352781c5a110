#include "lib/host/line_writer.h"

#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>

namespace fairlead {
namespace {

bool HasSpace(int fd) {
  pollfd one = {fd, POLLOUT, 0};
  return poll(&one, 1, 0) == 1 && (one.revents & POLLOUT) != 0;
}

}  // namespace

LineWriter::LineWriter(int fd, LostLine lost_line) : fd_(fd), lost_line_(std::move(lost_line)) {
  struct stat info = {};
  is_socket_ = fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

bool LineWriter::TryWrite(std::string_view text) {
  while (!text.empty()) {
    // A pipe that polls as writable accepts at least PIPE_BUF bytes (POSIX, write()).
    const size_t size = std::min<size_t>(text.size(), PIPE_BUF);
    ssize_t count = -1;
    if (is_socket_) {
      count = send(fd_, text.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else if (HasSpace(fd_)) {
      count = write(fd_, text.data(), size);
    }
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.remove_prefix(static_cast<size_t>(count));
  }
  rest_ = text;
  return text.empty();
}

void LineWriter::Write(std::string_view line) {
  const auto drop = [this] { dropped_.fetch_add(1, std::memory_order_relaxed); };
  if (!rest_.empty() && !TryWrite(std::string(rest_))) return drop();
  if (const uint64_t lost = dropped() - reported_; lost != 0) {
    const std::string text = lost_line_(lost);
    const bool whole = TryWrite(text);
    // If not even the first byte was written, report these lines again next time.
    if (!whole && rest_.size() == text.size())
      rest_.clear();
    else
      reported_ += lost;
    if (!whole) return drop();
  }
  if (TryWrite(line)) return;
  if (rest_.size() == line.size()) {
    rest_.clear();
    drop();
  }
}

}  // namespace fairlead
