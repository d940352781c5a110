// spdlog's way to stderr by a LineWriter: logging never waits.
#pragma once

#include <unistd.h>

#include <mutex>

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

#include "lib/host/line_writer.h"

namespace fairlead {

template <typename Mutex>
class StderrSink final : public spdlog::sinks::base_sink<Mutex> {
 public:
  uint64_t dropped() const { return writer_.dropped(); }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    this->formatter_->format(message, line);
    writer_.Write({line.data(), line.size()});
  }
  void flush_() override {}

  LineWriter writer_{STDERR_FILENO};
};

}  // namespace fairlead
