// Runs fairctl inside the test process. A script has the answers of fairleadd. Only `sleep`
// advances the clock.
#pragma once

#include <deque>
#include <sstream>
#include <string>
#include <vector>

#include "tools/fairctl/cli.h"

namespace fairlead::fairctl::testing {

class Harness {
 public:
  Harness() {
    environment_.out = &out_;
    environment_.err = &err_;
    environment_.connect = [this](const std::string& socket, std::chrono::milliseconds) {
      socket_ = socket;
      return std::make_unique<Script>(this);
    };
    environment_.sleep = [this](std::chrono::milliseconds duration) {
      now_ms_ += duration.count();
      ++sleeps_;
    };
    environment_.now_ms = [this] { return now_ms_; };
    environment_.may_act_for = [this](uint64_t) { return !is_other_user_; };
    environment_.run = [this](const std::vector<std::string>& command) {
      return RunScripted(command);
    };
  }

  // Adds an answer to the script. Each request takes the first answer that is left.
  Harness& Answer(unsigned status, const std::string& body = "") {
    answers_.emplace_back(ControlReply{status, body});
    return *this;
  }
  // Adds a failure to connect to the script.
  Harness& FailToConnect(const std::string& message = "fairleadd does not answer") {
    answers_.emplace_back(Unavailable(message));
    return *this;
  }
  // Adds what the next program that fairctl runs does. Without it, there is no such program.
  Harness& Program(int status, const std::string& out = "", const std::string& err = "") {
    programs_.emplace_back(ProgramResult{status, out, err});
    return *this;
  }
  // The next program does not exist.
  Harness& NoProgram() {
    programs_.emplace_back(NotFound("cannot run it: No such file or directory"));
    return *this;
  }
  Harness& OnTerminal() {
    environment_.out_is_tty = true;
    return *this;
  }

  // Neither root nor the user of the dataplane.
  Harness& AsOtherUser() {
    is_other_user_ = true;
    return *this;
  }

  int Run(std::vector<std::string> arguments) {
    return RunFairctl(std::move(arguments), &environment_);
  }

  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }
  // "PUT /v1/services/web/... {body}", as sent.
  const std::vector<std::string>& requests() const { return requests_; }
  const std::string& socket() const { return socket_; }
  // The programs that were run, with their arguments.
  const std::vector<std::string>& commands() const { return commands_; }
  // The same, by words.
  const std::vector<std::vector<std::string>>& argv() const { return argv_; }
  size_t unused_answers() const { return answers_.size(); }
  int sleeps() const { return sleeps_; }

 private:
  class Script final : public Transport {
   public:
    explicit Script(Harness* harness) : harness_(*harness) {}
    Result<ControlReply> Send(const std::string& method, const std::string& target,
                              const std::string& body) override {
      harness_.requests_.push_back(method + " " + target + (body.empty() ? "" : " " + body));
      if (harness_.answers_.empty()) return Internal("the script has no answer left");
      Result<ControlReply> answer = std::move(harness_.answers_.front());
      harness_.answers_.pop_front();
      return answer;
    }

    // Takes the next answer as a stream: passes its lines to `line`, then returns its status.
    Result<ControlReply> Follow(const std::string& target, const std::string& from,
                                const std::function<bool(const std::string&)>& line) override {
      Result<ControlReply> answer = Send("GET", target + (from.empty() ? "" : " from " + from), "");
      if (!answer.ok() || answer->status >= 400) return answer;
      std::istringstream text(answer->body);
      for (std::string each; std::getline(text, each);) {
        if (!line(each)) break;
      }
      return ControlReply{answer->status, ""};
    }

   private:
    Harness& harness_;
  };

  Result<ProgramResult> RunScripted(const std::vector<std::string>& command) {
    std::string line;
    for (const std::string& word : command) line += (line.empty() ? "" : " ") + word;
    commands_.push_back(line);
    argv_.push_back(command);
    if (programs_.empty()) return NotFound("cannot run it: No such file or directory");
    Result<ProgramResult> result = std::move(programs_.front());
    programs_.pop_front();
    return result;
  }

  Environment environment_;
  std::ostringstream out_;
  std::ostringstream err_;
  std::deque<Result<ControlReply>> answers_;
  std::vector<std::string> requests_;
  std::deque<Result<ProgramResult>> programs_;
  std::vector<std::string> commands_;
  std::vector<std::vector<std::string>> argv_;
  std::string socket_;
  int64_t now_ms_ = 1'000'000;  // 1970-01-01T00:16:40Z
  int sleeps_ = 0;
  bool is_other_user_ = false;
};

}  // namespace fairlead::fairctl::testing
