// What every command works with: output and time (replaced in tests), the global options, and the
// requests to fairleadd.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "controlplane/client/transport.h"
#include "controlplane/client/watch.h"
#include "lib/base/result.h"
#include "lib/net/address.h"
#include "tools/fairctl/exit_code.h"
#include "tools/fairctl/program.h"
#include "tools/fairctl/table.h"

namespace CLI {
class Option;
}

namespace fairlead::fairctl {

using Json = nlohmann::json;

struct Environment {
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool out_is_tty = false;
  bool colour = false;
  std::function<std::unique_ptr<Transport>(const std::string& socket,
                                           std::chrono::milliseconds timeout)>
      connect = [](const std::string& socket, std::chrono::milliseconds timeout) {
        return MakeUnixTransport(socket, timeout);
      };
  std::function<void(std::chrono::milliseconds)> sleep;
  std::function<int64_t()> now_ms;  // since 1970, UTC
  std::function<Result<ProgramResult>(const std::vector<std::string>& command)> run = RunProgram;
  // Whether this process is root, or of the same user as process `pid`.
  std::function<bool(uint64_t pid)> may_act_for = MayActFor;
};

// What completion offers for the value of an option or an argument.
enum class ValueKind : uint8_t { kWords, kFiles, kServices, kBackends };
struct ValueSource {
  ValueKind kind;
  std::vector<std::string> words;  // for kWords
};

class Context {
 public:
  explicit Context(Environment* environment) : environment_(environment) {}

  // Global options, filled by the command line.
  std::string socket_path = kDefaultControlPath;
  std::string request_timeout = "10s";
  bool json = false;

  // The chosen command. It runs after the command line is parsed.
  std::function<int()> action;

  // For completion. Values that are not listed here are free text or numbers.
  std::map<const CLI::Option*, ValueSource> value_sources;
  void Offer(const CLI::Option* option, ValueKind kind, std::vector<std::string> words = {}) {
    value_sources[option] = {kind, std::move(words)};
  }

  Environment& environment() { return *environment_; }
  std::ostream& out() { return *environment_->out; }
  std::ostream& err() { return *environment_->err; }
  bool colour() const { return environment_->colour; }

  // Sends one request. Returns the reply's JSON, or fairleadd's error as Status. For a reply
  // without a body: generation and in_force from its headers, or null if it has no such headers.
  Result<Json> Call(const std::string& method, const std::string& target,
                    const std::optional<Json>& body = std::nullopt);

  // Requests a body that is not JSON.
  Result<std::string> Fetch(const std::string& target);

  // As FollowWatch.
  Status Watch(const std::string& from, const WatchEvent& event);

  // Prints the error, for people or as JSON. Returns the exit code for it.
  int Fail(const Status& status);
  // For errors of the command line that the parser does not find.
  int FailUsage(const std::string& message);
  // With --json: prints `value` and returns true.
  bool PrintJson(const Json& value);

 private:
  Status Connect();
  Result<ControlReply> Send(const std::string& method, const std::string& target,
                            const std::string& body);

  Environment* environment_;
  std::unique_ptr<Transport> transport_;
};

// "/v1/services/NAME", "/v1/services/NAME/backends/ENDPOINT"; names and endpoints are escaped.
std::string ServicePath(const std::string& service);
std::string BackendPath(const std::string& service, const Endpoint& endpoint);

}  // namespace fairlead::fairctl
