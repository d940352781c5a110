// Finds the handler of a request by method and path.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "controlplane/http/message.h"

namespace fairlead {

// Handlers may wait (for the dataplane), but not long: they hold their connection only.
using HttpHandler = std::function<boost::asio::awaitable<HttpReply>(const HttpRequest& request)>;

// The path's segments, percent-decoded one by one, so that %2F stays inside its segment. Fails on a
// bad escape, a control character, or a query: no resource knows one.
Result<std::vector<std::string>> SplitTarget(std::string_view target);

class Router {
 public:
  // `pattern` "/v1/services/{service}": a segment in braces takes any text and names it.
  void Add(std::string method, std::string_view pattern, HttpHandler handler);

  // The pattern's handler, or one that replies 400, 404 or 405. `pattern` gets the pattern's text
  // (for metrics; empty when none fits).
  HttpHandler Find(HttpRequest* request, std::string* pattern) const;

 private:
  struct Route {
    std::string method;
    std::string pattern;
    std::vector<std::string> segments;
    HttpHandler handler;
  };

  std::vector<Route> routes_;
};

}  // namespace fairlead
