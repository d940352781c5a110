// Structured logs on stderr. Each event is one line with a stable event name and fields.
//   text   2024-05-01T12:00:00.250Z info backend_healthy service=web backend=10.0.0.11
//   json   {"time":"2024-05-01T12:00:00.250Z","level":"info","event":"backend_healthy",...}
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "lib/base/result.h"

namespace fairlead {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError, kOff };

struct LogField {
  LogField(std::string_view name_in, std::string_view value_in) : name(name_in), value(value_in) {}
  LogField(std::string_view name_in, const char* value_in) : name(name_in), value(value_in) {}
  LogField(std::string_view name_in, const std::string& value_in)
      : name(name_in), value(value_in) {}
  template <typename Number>
  LogField(std::string_view name_in, Number number)
      : name(name_in), value(std::to_string(number)) {}

  std::string_view name;
  std::string value;
};

// `format` "text" or "json"; `level` "debug", "info", "warning", "error" or "off".
Status ConfigureLog(std::string_view format, std::string_view level);

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// One line as Log() writes it, without its line feed.
std::string FormatLogLine(bool json, std::string_view time, LogLevel level, std::string_view event,
                          std::initializer_list<LogField> fields);

// Lines lost because stderr could not take them.
uint64_t LogLinesDropped();

}  // namespace fairlead
