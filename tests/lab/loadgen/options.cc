#include "tests/lab/loadgen/options.h"

#include <algorithm>
#include <cstring>
#include <iostream>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>

namespace fairlead::loadgen {
namespace {

bool ParseAddress(const std::string& text, uint16_t port, SocketAddress* address) {
  std::memset(address, 0, sizeof(*address));
  if (inet_pton(AF_INET, text.c_str(), &address->v4.sin_addr) == 1) {
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons(port);
    return true;
  }
  if (inet_pton(AF_INET6, text.c_str(), &address->v6.sin6_addr) == 1) {
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = htons(port);
    return true;
  }
  return false;
}

// "203.0.113.10:80", "[2001:db8::10]:80"
bool ParseTarget(const std::string& text, SocketAddress* address) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return false;
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const int port = std::atoi(text.c_str() + colon + 1);
  return port > 0 && port < 65536 && ParseAddress(host, static_cast<uint16_t>(port), address);
}

// "198.51.100.0/26": all addresses except the first and the last. "198.51.100.7": that address.
bool AddSources(const std::string& text, Options* options) {
  const size_t slash = text.find('/');
  SocketAddress first;
  if (!ParseAddress(text.substr(0, slash), 0, &first)) return false;
  const bool v4 = first.any.sa_family == AF_INET;
  auto& list = v4 ? options->sources4 : options->sources6;
  if (slash == std::string::npos) {
    list.push_back(first);
    return true;
  }
  const int host_bits = (v4 ? 32 : 128) - std::atoi(text.c_str() + slash + 1);
  if (host_bits < 2 || host_bits > 8) return false;  // only the last byte varies
  uint8_t* last = v4 ? reinterpret_cast<uint8_t*>(&first.v4.sin_addr) + 3
                     : reinterpret_cast<uint8_t*>(&first.v6.sin6_addr) + 15;
  const uint32_t base = *last & ~((1U << host_bits) - 1);
  for (uint32_t i = 1; i + 1 < (1U << host_bits); ++i) {
    *last = static_cast<uint8_t>(base + i);
    list.push_back(first);
  }
  return true;
}

bool ParseAll(const std::vector<std::string>& targets, const std::vector<std::string>& sources,
              Options* options) {
  for (const std::string& text : targets) {
    SocketAddress address;
    if (!ParseTarget(text, &address)) {
      std::cerr << "--target " << text << ": write ADDRESS:PORT\n";
      return false;
    }
    options->targets.push_back(address);
  }
  for (const std::string& text : sources) {
    if (!AddSources(text, options)) {
      std::cerr << "--source " << text
                << ": write ADDRESS, or ADDRESS/LENGTH with 4 to 256 addresses\n";
      return false;
    }
  }
  return true;
}

}  // namespace

bool ParseOptions(int argc, char** argv, Options* options, int* status) {
  CLI::App app{
      "Loads frontends with HTTP connections and UDP flows, and counts every failure.\n"
      "Ends after --duration-s, after --count, or by SIGINT or SIGTERM. Prints its figures as "
      "JSON."};
  std::vector<std::string> targets;
  std::vector<std::string> sources;
  double duration_s = 0;
  double interval_ms = 100;
  double udp_interval_ms = 100;
  int64_t timeout_ms = 2000;
  int64_t report_ms = 0;
  app.add_option("--target", targets, "ADDRESS:PORT, may be repeated; flows use targets in turn")
      ->required();
  app.add_option("--source", sources, "client address or prefix, may be repeated");
  app.add_option("--keep", options->keep,
                 "long-lived connections, with a request every --interval-ms");
  app.add_option("--interval-ms", interval_ms, "0: next request as soon as the reply arrives");
  app.add_option("--new-per-second", options->new_per_second,
                 "connections per second, with one request each");
  app.add_option("--count", options->count,
                 "end after this many such connections (without a rate: --concurrency at a time)");
  app.add_option("--concurrency", options->concurrency, "how many connections open at once");
  app.add_option("--udp", options->udp,
                 "long-lived UDP flows, with a request every --udp-interval-ms");
  app.add_option("--udp-interval-ms", udp_interval_ms,
                 "0: next request as soon as the reply arrives");
  app.add_option("--udp-new-per-second", options->udp_new_per_second,
                 "UDP flows per second, with one request each");
  app.add_option("--udp-count", options->udp_count, "end after this many such UDP flows");
  app.add_option("--udp-port", options->udp_port, "UDP port of the targets");
  app.add_option("--first-port", options->first_port,
                 "first port of each source, then ascending; gives the same flows in every run");
  app.add_option("--duration-s", duration_s, "end after this time");
  app.add_option("--timeout-ms", timeout_ms, "timeout of connecting and of each request");
  app.add_option("--path", options->path, "HTTP path of the requests");
  app.add_option("--events", options->events, "file that gets one line per flow");
  app.add_option("--report-ms", report_ms, "print the figures at this interval");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *status = app.exit(error);
    return false;
  }
  options->duration_us = static_cast<int64_t>(duration_s * 1e6);
  options->interval_us = static_cast<int64_t>(interval_ms * 1e3);
  options->udp_interval_us = static_cast<int64_t>(udp_interval_ms * 1e3);
  options->timeout_us = timeout_ms * 1000;
  options->report_us = report_ms * 1000;
  *status = 2;
  return ParseAll(targets, sources, options);
}

}  // namespace fairlead::loadgen
