// A probe's exchange with a server over a byte stream, without I/O: what to send, and what the
// received bytes mean. They come from a server that may be broken or hostile (tests/fuzz).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>  // before Asio 1.74, which uses std::exchange without it

#include "controlplane/observe/health/probe.h"
#include "lib/intent/checks/check_failure.h"

namespace fairlead {

class Dialogue {
 public:
  virtual ~Dialogue() = default;

  // The bytes to send next; empty: none for now.
  virtual std::string TakeOutput() = 0;
  // Both REQUIRE that there is no answer yet. End: the server sends nothing more.
  virtual void Receive(std::string_view bytes) = 0;
  virtual void ReceiveEnd() = 0;

  // Set when the exchange has ended.
  const std::optional<ProbeAnswer>& answer() const { return answer_; }

 protected:
  void Pass() { answer_.emplace(ProbeAnswer{.outcome = CheckOutcome::kPassed}); }
  void Fail(CheckFailure kind, uint32_t value = 0) {
    answer_.emplace(
        ProbeAnswer{.outcome = CheckOutcome::kFailed, .detail = EncodeFailure(kind, value)});
  }

 private:
  std::optional<ProbeAnswer> answer_;
};

}  // namespace fairlead
