#include "controlplane/observe/health/certificate_watch.h"

#include "controlplane/common/log.h"
#include "controlplane/common/time.h"

namespace fairlead {
namespace {

constexpr int64_t kDayS = 24 * 3600;
constexpr int64_t kWarnBeforeS = 14 * kDayS;

}  // namespace

void CertificateWatch::Learn(uint32_t backend_id, std::optional<int64_t> not_after_s) {
  const BackendStatus* backend = board_->Find(backend_id);
  if (backend == nullptr) return;
  board_->SetCertificate(backend_id, not_after_s);
  if (!not_after_s) return Forget(backend_id);
  const int64_t left_s = *not_after_s - board_->WallMs() / 1000;
  if (left_s > kWarnBeforeS) return;
  const auto [logged, is_new] = logged_.try_emplace(backend_id, *not_after_s);
  if (!is_new && logged->second == *not_after_s) return;
  logged->second = *not_after_s;
  Log(LogLevel::kWarning, "certificate_expires_soon",
      {{"service", backend->service},
       {"backend", backend->endpoint.ToString()},
       {"not_after", FormatRfc3339(*not_after_s * 1000)},
       {"days_left", left_s < 0 ? 0 : left_s / kDayS}});
}

}  // namespace fairlead
