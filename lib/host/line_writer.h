// Log lines to a descriptor that may stop taking any: a pipe whose reader sleeps, a terminal that is
// held, the journal's socket. Writing never waits; what finds no room is dropped, and counted in a
// line before the next one that does.
//
// Any thread; one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace fairlead {

class LineWriter {
 public:
  // The line, with its newline, that says how many were dropped.
  using LostLine = std::function<std::string(uint64_t lost)>;

  // Borrows `fd`.
  LineWriter(int fd, LostLine lost_line);

  // `line` with its newline.
  void Write(std::string_view line);
  // Lines dropped so far. Any thread, at any time.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  // True when all of it was written.
  bool TryWrite(std::string_view text);

  int fd_;
  LostLine lost_line_;
  bool is_socket_ = false;
  std::string rest_;   // of a line that was begun
  uint64_t told_ = 0;  // of those dropped
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace fairlead
