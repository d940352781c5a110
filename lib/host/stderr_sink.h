// An spdlog sink that writes to stderr through a LineWriter: logging never blocks.
#pragma once

#include <unistd.h>

#include <mutex>
#include <string>
#include <utility>

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

#include "lib/host/line_writer.h"

namespace fairlead {

template <typename Mutex>
class StderrSink final : public spdlog::sinks::base_sink<Mutex> {
 public:
  // `lost_text` makes the message, without time and newline, that tells how many lines were
  // dropped. It is logged as a warning.
  explicit StderrSink(LineWriter::LostLine lost_text)
      : writer_(STDERR_FILENO, [this, lost_text = std::move(lost_text)](uint64_t lost) {
          return Formatted({{}, spdlog::level::warn, lost_text(lost)});
        }) {}

  uint64_t dropped() const { return writer_.dropped(); }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    writer_.Write(Formatted(message));
  }
  void flush_() override {}

  std::string Formatted(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    this->formatter_->format(message, line);
    return {line.data(), line.size()};
  }

  LineWriter writer_;
};

}  // namespace fairlead
