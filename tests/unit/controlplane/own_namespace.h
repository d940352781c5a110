// Runs the body of a test in a network namespace of its own, with the `ip` command for its links and
// routes. Skips the test if the user may not create a namespace.
#pragma once

#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace fairlead {

class OwnNamespace {
 protected:
  // In a thread, so that other tests keep their namespace. The namespace ends with its sockets.
  void InNamespace(const std::function<void()>& body) {
    std::thread thread([&] {
      if (::unshare(CLONE_NEWNET) != 0) {
        missing_ = "this user may not create a network namespace";
      } else {
        body();
      }
    });
    thread.join();
    if (!missing_.empty()) GTEST_SKIP() << missing_;
  }

  static void Ip(const std::string& arguments) {
    EXPECT_EQ(std::system(("ip " + arguments).c_str()), 0) << arguments;
  }

  static std::string Output(const std::string& command) {
    std::string text;
    FILE* pipe = ::popen(command.c_str(), "r");
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
      text.push_back(static_cast<char>(c));
    }
    ::pclose(pipe);
    return text;
  }

  // left has 10.0.0.1/24. right has no address and answers nothing.
  static void MakeVethPair() {
    Ip("link add left type veth peer name right");
    Ip("link set left up");
    Ip("link set right up");
    Ip("address add 10.0.0.1/24 dev left");
  }

  std::string missing_;  // why the test cannot run
};

}  // namespace fairlead
