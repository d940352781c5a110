// The load generator's command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <netinet/in.h>

namespace fairlead::loadgen {

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;

  socklen_t size() const { return any.sa_family == AF_INET ? sizeof(v4) : sizeof(v6); }
};

struct Options {
  std::vector<SocketAddress> targets;
  std::vector<SocketAddress> sources4;  // every address of the given prefixes, port 0
  std::vector<SocketAddress> sources6;
  uint32_t keep = 0;
  int64_t interval_us = 100'000;
  uint32_t new_per_second = 0;
  uint64_t count = 0;
  uint32_t concurrency = 64;
  uint32_t udp = 0;
  int64_t udp_interval_us = 100'000;
  uint32_t udp_new_per_second = 0;
  uint64_t udp_count = 0;
  int64_t duration_us = 0;  // 0 = until a signal, or until `count` and `udp_count` are reached
  int64_t timeout_us = 2'000'000;
  int64_t report_us = 0;
  std::string path = "/";
  std::string events;
  uint16_t udp_port = 7;
  uint16_t first_port = 0;  // first port of each source, then ascending; 0 = the kernel chooses
};

// False if the program must exit with `*status`: help or an error message was printed.
bool ParseOptions(int argc, char** argv, Options* options, int* status);

}  // namespace fairlead::loadgen
