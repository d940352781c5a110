// Runs one probe against a server on the loopback interface.
#pragma once

#include <optional>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "controlplane/observe/health/probers.h"
#include "tests/unit/controlplane/support.h"

namespace fairlead {

// Far longer than a probe takes that does not wait for its timeout.
inline constexpr std::chrono::seconds kPatientTimeout{20};

class ProbeTest : public testing::Test {
 protected:
  // `check`: the health_check as JSON, such as {"type": "http"}. The port is the server's.
  static HealthCheck CheckFrom(const std::string& check) {
    return ParseServiceSpec(R"({"name": "web", "frontends": ["203.0.113.1:80/tcp",
                               "203.0.113.1:80/udp"], "health_check": )" +
                            check + "}")
        .health_check;
  }

  ProbeAnswer Probe(const std::string& check, uint16_t port,
                    std::chrono::milliseconds timeout = kPatientTimeout) {
    const HealthCheck parsed = CheckFrom(check);
    ProbeTarget target{IpAddress::Parse("127.0.0.1").value(), port, timeout, parsed.settings};
    std::optional<ProbeAnswer> answer;
    const auto keep = [](Prober prober, ProbeTarget asked,
                         std::optional<ProbeAnswer>* result) -> boost::asio::awaitable<void> {
      boost::asio::awaitable<ProbeAnswer> probe = prober(std::move(asked));
      result->emplace(co_await std::move(probe));
    };
    context_.restart();
    boost::asio::co_spawn(context_, keep(probers_.at(parsed.type), target, &answer),
                          boost::asio::detached);
    context_.run();
    return answer.value();
  }

  // "passed", "timed out", "not made: ...", or the reason of the failure.
  std::string Outcome(const std::string& check, uint16_t port,
                      std::chrono::milliseconds timeout = kPatientTimeout) {
    const ProbeAnswer answer = Probe(check, port, timeout);
    if (!answer.skipped.empty()) return "not made: " + answer.skipped;
    if (answer.outcome == CheckOutcome::kPassed) return "passed";
    if (answer.outcome == CheckOutcome::kTimedOut) return "timed out";
    const HealthCheck parsed = CheckFrom(check);
    return parsed.type->failure_text(
        {answer.detail, parsed.settings, IpAddress::Parse("127.0.0.1").value()});
  }

  boost::asio::io_context context_;
  Probers probers_ = MakeProbers(100);
};

}  // namespace fairlead
