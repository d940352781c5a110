#include "controlplane/common/log.h"

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "controlplane/common/time.h"
#include "lib/host/stderr_sink.h"

namespace fairlead {
namespace {

bool json_format = false;

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
    case LogLevel::kOff:
      break;
  }
  return "off";
}

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

using Sink = StderrSink<spdlog::details::null_mutex>;

Sink& TheSink() {
  static const std::shared_ptr<Sink> sink = std::make_shared<Sink>([](uint64_t lost) {
    return FormatLogLine(json_format, FormatRfc3339(Clock().WallMs()), LogLevel::kWarning,
                         "log_lines_lost", {{"lines", lost}});
  });
  return *sink;
}

spdlog::logger& Logger() {
  static spdlog::logger logger = [] {
    // Not owned by the logger.
    spdlog::logger made("fairleadd", std::shared_ptr<Sink>(&TheSink(), [](Sink*) {}));
    made.set_pattern("%v");  // FormatLogLine() makes the whole line
    return made;
  }();
  return logger;
}

// A value with blanks, quotes or control characters is quoted as in JSON. So is an empty one.
std::string TextValue(const std::string& value) {
  bool plain = !value.empty();
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || c == '"' || c == '=' || c == '\\') plain = false;
  }
  if (plain) return value;
  return nlohmann::json(value).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Status ConfigureLog(std::string_view format, std::string_view level) {
  if (format != "text" && format != "json") {
    return InvalidArgument("log format '" + std::string(format) + "' is neither text nor json");
  }
  for (const LogLevel candidate :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError, LogLevel::kOff}) {
    if (LevelName(candidate) != level) continue;
    json_format = format == "json";
    Logger().set_level(SpdlogLevel(candidate));
    return {};
  }
  return InvalidArgument("log level '" + std::string(level) +
                         "' is not one of debug, info, warning, error, off");
}

std::string FormatLogLine(bool json, std::string_view time, LogLevel level, std::string_view event,
                          std::initializer_list<LogField> fields) {
  if (json) {
    nlohmann::ordered_json line;
    line["time"] = time;
    line["level"] = LevelName(level);
    line["event"] = event;
    for (const LogField& field : fields) line[std::string(field.name)] = field.value;
    return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  std::string line(time);
  line.append(" ").append(LevelName(level)).append(" ").append(event);
  for (const LogField& field : fields) {
    line.append(" ").append(field.name).append("=").append(TextValue(field.value));
  }
  return line;
}

void Log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  const spdlog::level::level_enum spdlog_level = SpdlogLevel(level);
  if (!Logger().should_log(spdlog_level)) return;
  Logger().log(spdlog_level,
               FormatLogLine(json_format, FormatRfc3339(Clock().WallMs()), level, event, fields));
}

uint64_t LogLinesDropped() { return TheSink().dropped(); }

}  // namespace fairlead
