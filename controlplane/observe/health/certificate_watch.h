// Watches when the certificates of backends end: puts it on the status board, and logs the event
// `certificate_expires_soon` 14 days before the end, once for each backend and certificate. One
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "controlplane/core/status_board.h"

namespace fairlead {

class CertificateWatch {
 public:
  explicit CertificateWatch(StatusBoard* board) : board_(board) {}

  // `not_after_s`: when the first of the backend's certificates ends; unset: it has none.
  void Learn(uint32_t backend_id, std::optional<int64_t> not_after_s);
  void Forget(uint32_t backend_id) { logged_.erase(backend_id); }

 private:
  StatusBoard* board_;
  std::unordered_map<uint32_t, int64_t> logged_;  // by backend id: the end that was logged
};

}  // namespace fairlead
