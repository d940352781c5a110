// A request and its reply as handlers see them, independent of the HTTP library.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include "lib/base/result.h"

namespace fairlead {

struct HttpRequest {
  std::string method;  // "GET"
  std::string target;  // as sent, "/v1/services/web"
  std::string body;
  std::map<std::string, std::string> parameters;  // of the route, percent-decoded
  std::map<std::string, std::string> headers;     // by lower-case name; of duplicates the last
  std::string peer;                               // who connected: "root", "uid 1000"

  // Empty if it was not sent.
  std::string header(const std::string& lower_case_name) const {
    const auto found = headers.find(lower_case_name);
    return found == headers.end() ? std::string() : found->second;
  }
};

// The next piece of a body of unknown length. nullopt: the body has ended.
using HttpStream = std::function<boost::asio::awaitable<std::optional<std::string>>()>;

struct HttpReply {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  HttpStream stream = {};  // replaces `body`; sent piece by piece, chunked
};

HttpReply JsonReply(unsigned status, const nlohmann::json& json);

// The error body of the API: {"error": {"code", "message", "field"?}}. The field is taken from the
// message of lib/intent's decoders.
HttpReply ErrorReply(const Status& status);
HttpReply ErrorReply(unsigned http_status, std::string_view code, const std::string& message,
                     const std::string& field = {});

// "invalid_argument" and so on.
std::string_view ErrorCodeName(ErrorCode code);

}  // namespace fairlead
