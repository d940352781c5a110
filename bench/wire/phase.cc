#include "bench/wire/phase.h"

#include <time.h>

#include <algorithm>
#include <charconv>
#include <x86intrin.h>

#include <nlohmann/json.hpp>

#include "bench/wire/latency.h"

namespace fairlead::bench {
namespace {

constexpr uint32_t kBurst = 32;
constexpr uint64_t kMostDue = 64;    // most packets sent at once when sending is late
constexpr uint32_t kMostTaken = 64;  // most packets received from a queue before sending again
constexpr uint64_t kStampMask = (uint64_t{1} << 48) - 1;
constexpr double kDrainSeconds = 0.1;  // after this time without packets, missing ones are lost

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Cycles of the TSC per nanosecond, measured once.
double TscPerNs() {
  static const double rate = [] {
    const double start = Now();
    const uint64_t start_tsc = __rdtsc();
    while (Now() - start < 0.02) _mm_pause();
    return static_cast<double>(__rdtsc() - start_tsc) / ((Now() - start) * 1e9);
  }();
  return rate;
}

class Phase {
 public:
  Phase(const PhaseSetting& setting, Memif* out, Memif* in, Traffic* traffic)
      : setting_(setting), out_(out), in_(in), traffic_(traffic) {}

  PhaseResult Run() {
    const double per_ns = TscPerNs();
    gap_tsc_ = static_cast<uint64_t>(static_cast<double>(kGapNs) * per_ns);
    start_tsc_ = last_tsc_ = __rdtsc();
    const auto length_tsc = static_cast<uint64_t>(setting_.seconds * 1e9 * per_ns);
    uint64_t now_tsc = start_tsc_;
    while (now_tsc - start_tsc_ < length_tsc) {
      SendDue(now_tsc, per_ns);
      Receive(per_ns);
      now_tsc = ReadClock();
    }
    result_.gap_seconds = static_cast<double>(gaps_tsc_) / per_ns * 1e-9;
    result_.seconds = static_cast<double>(now_tsc - start_tsc_) / per_ns * 1e-9;
    result_.send_pps = static_cast<double>(result_.sent) / result_.seconds;
    result_.receive_pps = static_cast<double>(result_.verdicts.received) / result_.seconds;
    Drain(per_ns);
    result_.p50_ns = latency_.Percentile(0.5);
    result_.p99_ns = latency_.Percentile(0.99);
    result_.p999_ns = latency_.Percentile(0.999);
    return result_;
  }

 private:
  // Called every few microseconds, unless this thread does not run.
  uint64_t ReadClock() {
    const uint64_t now_tsc = __rdtsc();
    const uint64_t passed = now_tsc - last_tsc_;
    last_tsc_ = now_tsc;
    if (passed < gap_tsc_) return now_tsc;
    ++result_.gaps;
    gaps_tsc_ += passed;
    if (setting_.skip_gaps) {
      not_before_tsc_ = now_tsc;
      if (setting_.packets_per_second > 0) start_tsc_ += passed;
    }
    return now_tsc;
  }

  uint64_t InFlight() const {
    return result_.sent -
           std::min(result_.sent, result_.verdicts.received + result_.verdicts.foreign);
  }

  void SendDue(uint64_t now_tsc, double per_ns) {
    uint32_t due = kBurst;
    if (setting_.packets_per_second > 0) {
      const double elapsed_s = static_cast<double>(now_tsc - start_tsc_) / per_ns * 1e-9;
      const auto total = static_cast<uint64_t>(elapsed_s * setting_.packets_per_second);
      const uint64_t behind = total - result_.sent - result_.missed;
      due = static_cast<uint32_t>(std::min(behind, kMostDue));
    }
    const uint64_t allowed = setting_.in_flight - std::min(setting_.in_flight, InFlight());
    const auto count = static_cast<uint32_t>(
        std::min<uint64_t>(allowed, std::min(due, out_->FreeSendEntries(queue_))));
    out_->PrefetchSend(queue_, count);
    for (uint32_t i = 0; i < count; ++i) {
      traffic_->Write(out_->SendBuffer(queue_, i, traffic_->frame_length()), now_tsc & kStampMask);
    }
    if (count != 0) out_->Send(queue_, count);
    result_.sent += count;
    if (setting_.packets_per_second > 0) result_.missed += due - count;
    queue_ = queue_ + 1 < out_->send_queues() ? queue_ + 1 : 0;
  }

  uint32_t Receive(double per_ns) {
    uint32_t found = 0;
    for (uint32_t queue = 0; queue < in_->receive_queues(); ++queue) {
      const uint32_t count = std::min(in_->Received(queue), kMostTaken);
      if (count == 0) continue;
      in_->PrefetchReceived(queue, count);
      const uint64_t now = ReadClock() & kStampMask;
      for (uint32_t i = 0; i < count; ++i) {
        const Memif::Buffer buffer = in_->ReceivedBuffer(queue, i);
        const uint64_t sent = traffic_->Judge(buffer.bytes, buffer.length, &result_.verdicts);
        if (sent != 0 && sent >= (not_before_tsc_ & kStampMask)) {
          latency_.Add(static_cast<uint64_t>(static_cast<double>(now - sent) / per_ns));
        }
      }
      in_->Release(queue, count);
      found += count;
    }
    return found;
  }

  void Drain(double per_ns) {
    double last = Now();
    while (Now() - last < kDrainSeconds && result_.verdicts.received < result_.sent) {
      if (Receive(per_ns) != 0) last = Now();
    }
  }

  const PhaseSetting setting_;
  Memif* const out_;
  Memif* const in_;
  Traffic* const traffic_;
  uint64_t start_tsc_ = 0;       // moved forward by skipped gaps
  uint64_t last_tsc_ = 0;        // when the clock was read last
  uint64_t gap_tsc_ = 0;         // shortest pause that is a gap
  uint64_t gaps_tsc_ = 0;        // sum of all gaps
  uint64_t not_before_tsc_ = 0;  // end of the last skipped gap
  uint32_t queue_ = 0;
  LatencyCounts latency_;
  PhaseResult result_;
};

}  // namespace

std::string PhaseResult::Json(const PhaseSetting& setting) const {
  const nlohmann::json value = {
      {"asked_pps", setting.packets_per_second},
      {"seconds", seconds},
      {"sent", sent},
      {"missed", missed},
      {"received", verdicts.received},
      {"lost", lost()},
      {"gaps", gaps},
      {"gap_seconds", gap_seconds},
      {"foreign", verdicts.foreign},
      {"reordered", verdicts.reordered},
      {"wrong_backend", verdicts.wrong_backend},
      {"bad_checksum", verdicts.bad_checksum},
      {"send_pps", send_pps},
      {"receive_pps", receive_pps},
      {"p50_ns", p50_ns},
      {"p99_ns", p99_ns},
      {"p999_ns", p999_ns},
  };
  return value.dump();
}

Result<PhaseSetting> ParsePhase(const std::string& text, double fastest_pps) {
  const Status wrong =
      InvalidArgument("phase '" + text + "': write max:SECONDS, PPS:SECONDS or PERCENT%:SECONDS");
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return wrong;
  const char* const end = text.data() + text.size();
  PhaseSetting setting;
  const auto time = std::from_chars(text.data() + colon + 1, end, setting.seconds);
  if (time.ec != std::errc() || time.ptr != end || !(setting.seconds > 0)) return wrong;
  if (text.substr(0, colon) == "max") return setting;
  const auto rate = std::from_chars(text.data(), end, setting.packets_per_second);
  if (rate.ec != std::errc() || !(setting.packets_per_second > 0)) return wrong;
  if (*rate.ptr == '%') {
    if (fastest_pps <= 0) {
      return InvalidArgument("phase '" + text + "': a percentage needs a max phase before it");
    }
    setting.packets_per_second *= fastest_pps / 100;
    return rate.ptr + 1 == text.data() + colon ? Result<PhaseSetting>(setting) : wrong;
  }
  return rate.ptr == text.data() + colon ? Result<PhaseSetting>(setting) : wrong;
}

Status AwaitForwarding(Memif* out, Memif* in, Traffic* traffic, int timeout_ms) {
  constexpr timespec kPause = {0, 1'000'000};
  const double deadline = Now() + timeout_ms * 1e-3;
  PacketChecks verdicts;
  while (verdicts.received == 0) {
    if (Now() > deadline) {
      return Unavailable("no packet came back from the device under test within " +
                         std::to_string(timeout_ms) + " ms");
    }
    if (out->FreeSendEntries(0) != 0) {
      traffic->Write(out->SendBuffer(0, 0, traffic->frame_length()), 1);
      out->Send(0, 1);
    }
    nanosleep(&kPause, nullptr);
    for (uint32_t queue = 0; queue < in->receive_queues(); ++queue) {
      for (uint32_t count = in->Received(queue); count != 0; count = in->Received(queue)) {
        const Memif::Buffer buffer = in->ReceivedBuffer(queue, 0);
        traffic->Judge(buffer.bytes, buffer.length, &verdicts);
        in->Release(queue, 1);
      }
    }
  }
  return {};
}

PhaseResult RunPhase(const PhaseSetting& setting, Memif* out, Memif* in, Traffic* traffic) {
  return Phase(setting, out, in, traffic).Run();
}

}  // namespace fairlead::bench
