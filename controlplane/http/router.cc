#include "controlplane/http/router.h"

#include <optional>

namespace fairlead {
namespace asio = boost::asio;
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return std::nullopt;
    decoded.push_back(c);
  }
  return decoded;
}

bool IsParameter(const std::string& segment) { return segment.starts_with("{"); }

bool Matches(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  if (pattern.size() != path.size()) return false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (IsParameter(pattern[i]) ? path[i].empty() : pattern[i] != path[i]) return false;
  }
  return true;
}

HttpHandler ReplyWith(HttpReply reply) {
  return [reply = std::move(reply)](const HttpRequest&) -> asio::awaitable<HttpReply> {
    co_return reply;
  };
}

}  // namespace

Result<std::vector<std::string>> SplitTarget(std::string_view target) {
  if (target.find('?') != std::string_view::npos) {
    return InvalidArgument("the target has a query ('?'); no path of this API takes one");
  }
  // curl --unix-socket may send the absolute form because of a proxy setting. Only paths are
  // accepted.
  if (target.empty() || target[0] != '/') {
    return InvalidArgument("the target does not start with '/'");
  }
  std::vector<std::string> segments;
  size_t begin = 1;
  while (begin <= target.size()) {
    const size_t end = std::min(target.find('/', begin), target.size());
    const std::optional<std::string> segment = PercentDecode(target.substr(begin, end - begin));
    if (!segment.has_value()) {
      return InvalidArgument("the target has a bad %XX escape or a control character");
    }
    segments.push_back(*segment);
    begin = end + 1;
  }
  return segments;
}

void Router::Add(std::string method, std::string_view pattern, HttpHandler handler) {
  Result<std::vector<std::string>> segments = SplitTarget(pattern);
  CHECK(segments.ok());
  routes_.push_back(
      {std::move(method), std::string(pattern), *std::move(segments), std::move(handler)});
}

HttpHandler Router::Find(HttpRequest* request, std::string* pattern) const {
  pattern->clear();
  const Result<std::vector<std::string>> path = SplitTarget(request->target);
  if (!path.ok()) return ReplyWith(ErrorReply(path.status()));
  std::string allowed;
  for (const Route& route : routes_) {
    if (!Matches(route.segments, *path)) continue;
    *pattern = route.pattern;
    if (route.method != request->method) {
      allowed += (allowed.empty() ? "" : ", ") + route.method;
      continue;
    }
    for (size_t i = 0; i < path->size(); ++i) {
      const std::string& segment = route.segments[i];
      if (IsParameter(segment)) {
        request->parameters[segment.substr(1, segment.size() - 2)] = (*path)[i];
      }
    }
    return route.handler;
  }
  if (allowed.empty()) {
    return ReplyWith(ErrorReply(NotFound("the API has no path " + request->target)));
  }
  HttpReply reply = ErrorReply(405, "invalid_argument",
                               request->target + " allows " + allowed + ", not " + request->method);
  reply.headers.emplace_back("Allow", allowed);
  return ReplyWith(std::move(reply));
}

}  // namespace fairlead
