// Writes log lines to a file descriptor that may stop accepting data: a pipe whose reader does not
// read, a stopped terminal, the journal's socket. Write never blocks. A line that cannot be written
// is dropped. Before the next line that can be written, a line tells how many were dropped.
//
// Any thread, but one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fairlead {

class LineWriter {
 public:
  // Makes the line, with its newline, that tells how many lines were dropped.
  using LostLine = std::function<std::string(uint64_t lost)>;

  // `fd` stays the caller's and must outlive the writer.
  LineWriter(int fd, LostLine lost_line);

  // `line` includes its newline.
  void Write(std::string_view line);
  // Lines dropped so far. Any thread, at any time.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  // True if all of `text` was written. Otherwise rest_ is the part that was not.
  bool TryWrite(std::string_view text);

  int fd_;
  LostLine lost_line_;
  bool is_socket_ = false;
  std::string rest_;       // the unwritten part of a line that was begun
  uint64_t reported_ = 0;  // dropped lines that have been reported
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace fairlead
