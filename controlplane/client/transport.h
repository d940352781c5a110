// HTTP/1.1 over fairleadd's Unix socket: one request, one connection, every step with a deadline.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "lib/base/result.h"

namespace fairlead {

inline constexpr const char* kDefaultControlPath = "/run/fairlead/control.sock";

struct ControlReply {
  unsigned status = 0;
  std::string body;
  // Of the headers Fairlead-Generation and Fairlead-In-Force, which replies without a body have too;
  // empty where there are none.
  std::string generation = {};
  std::string in_force = {};
};

class Transport {
 public:
  virtual ~Transport() = default;
  // `body` empty = none. Fails with kUnavailable when there is nobody to answer; the message says
  // what to do. Any HTTP status is a success here.
  virtual Result<ControlReply> Send(const std::string& method, const std::string& target,
                                    const std::string& body) = 0;
  // GET of a body without an end: each line, without its newline, goes to `line` as it comes, until that
  // returns false or fairleadd ends it. `from`: the header Fairlead-From, where it is not empty. Of a
  // reply that is no success the body is returned.
  virtual Result<ControlReply> Follow(const std::string& target, const std::string& from,
                                      const std::function<bool(const std::string&)>& line) = 0;
};

std::unique_ptr<Transport> MakeUnixTransport(const std::string& socket_path,
                                             std::chrono::milliseconds timeout);

}  // namespace fairlead
