// HTTP/1.1 over fairleadd's Unix socket. Each request has its own connection. Each step has a
// deadline.
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
  // The headers Fairlead-Generation and Fairlead-In-Force; empty if missing. Replies without a body
  // have them too.
  std::string generation = {};
  std::string in_force = {};
};

class Transport {
 public:
  virtual ~Transport() = default;
  // An empty `body` means none. Fails with kUnavailable when fairleadd does not answer; the message
  // says what to do. Any HTTP status is a success here.
  virtual Result<ControlReply> Send(const std::string& method, const std::string& target,
                                    const std::string& body) = 0;
  // GET of an endless body. Calls `line` with each line as it arrives, without its newline, until
  // `line` returns false or fairleadd ends the body. `from`: the header Fairlead-From; not sent if
  // empty. For an HTTP status other than 200, returns the body in the reply.
  virtual Result<ControlReply> Follow(const std::string& target, const std::string& from,
                                      const std::function<bool(const std::string&)>& line) = 0;
};

// The command that starts fairleadd: with systemd if it runs and has the unit. `root`: in front of
// all paths, for tests.
std::string StartCommand(const std::string& root = "");

// `timeout`: of connecting, and of each exchange. `longest_silence`: between two parts of an endless
// body. fairleadd sends at least one line every ten seconds.
std::unique_ptr<Transport> MakeUnixTransport(
    const std::string& socket_path, std::chrono::milliseconds timeout,
    std::chrono::milliseconds longest_silence = std::chrono::seconds(30));

}  // namespace fairlead
