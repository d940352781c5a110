// Finds the handler of a request by method and path.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "controlplane/http/message.h"

namespace fairlead {

// A handler may wait for a short time, for example for the dataplane. It delays only its own
// connection.
using HttpHandler = std::function<boost::asio::awaitable<HttpReply>(const HttpRequest& request)>;

// The path's segments. Each is percent-decoded separately, so that %2F stays inside its segment.
// Fails on a bad escape, a control character, or a query.
Result<std::vector<std::string>> SplitTarget(std::string_view target);

class Router {
 public:
  // `pattern`: such as "/v1/services/{service}". A segment in braces matches any text, which
  // becomes the parameter of that name.
  void Add(std::string method, std::string_view pattern, HttpHandler handler);

  // The handler of the matching pattern, or one that replies 400, 404 or 405. Sets `pattern` to the
  // pattern's text, for metrics; empty if no pattern matches. Fills the request's parameters.
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
