// fairctl: the operator's command line.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "tools/fairctl/cli.h"

int main(int argc, char** argv) {
  using namespace std::chrono;
  std::signal(SIGPIPE, SIG_IGN);  // `fairctl ... | head` ends with a failed write, not a signal
  fairlead::fairctl::Environment environment;
  environment.out = &std::cout;
  environment.err = &std::cerr;
  environment.out_is_tty = isatty(STDOUT_FILENO) == 1;
  environment.colour = environment.out_is_tty && std::getenv("NO_COLOR") == nullptr;
  environment.sleep = [](milliseconds duration) { std::this_thread::sleep_for(duration); };
  environment.now_ms = [] {
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
  };
  try {
    return fairlead::fairctl::RunFairctl(std::vector<std::string>(argv + 1, argv + argc),
                                         &environment);
  } catch (const std::exception& problem) {
    std::cerr << "fairctl: " << problem.what() << '\n';
    return fairlead::fairctl::kExitFailed;
  }
}
