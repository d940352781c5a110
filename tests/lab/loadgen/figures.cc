#include "tests/lab/loadgen/figures.h"

#include <algorithm>
#include <bit>
#include <cinttypes>

namespace fairlead::loadgen {
namespace {

constexpr std::array<std::string_view, kGroupCount> kGroupNames = {"tcp_keep", "tcp_new",
                                                                   "udp_keep", "udp_new"};

}  // namespace

std::string_view FailureName(Failure failure) {
  switch (failure) {
    case Failure::kRefused:
      return "refused";
    case Failure::kReset:
      return "reset";
    case Failure::kTimeout:
      return "timeout";
    case Failure::kShort:
      return "short";
    case Failure::kMoved:
      return "moved";
    case Failure::kBadReply:
      return "bad_reply";
    case Failure::kOther:
      break;
  }
  return "other";
}

size_t Histogram::IndexOf(uint64_t us) {
  if (us < kExact) return us;
  const auto octave = static_cast<uint32_t>(std::bit_width(us)) - 11;  // 0 for 1024..2047
  const uint64_t within = (us >> (octave + 4)) & (kPerOctave - 1);
  return kExact + std::min<size_t>(octave, 31) * kPerOctave + within;
}

int64_t Histogram::ValueOf(size_t index) {
  if (index < kExact) return static_cast<int64_t>(index);
  const size_t octave = (index - kExact) / kPerOctave;
  const size_t within = (index - kExact) % kPerOctave;
  return static_cast<int64_t>((kPerOctave + within) << (octave + 4));
}

void Histogram::Add(int64_t us) {
  ++counts_[IndexOf(static_cast<uint64_t>(std::max<int64_t>(us, 0)))];
  ++total_;
  max_ = std::max(max_, us);
}

int64_t Histogram::Percentile(double share) const {
  const auto wanted = static_cast<uint64_t>(static_cast<double>(total_) * share);
  uint64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen > wanted) return ValueOf(i);
  }
  return max_;
}

int Figures::BackendNumber(std::string_view name) {
  for (size_t i = 0; i < names_.size(); ++i) {
    if (names_[i] == name) return static_cast<int>(i);
  }
  names_.emplace_back(name);
  return static_cast<int>(names_.size() - 1);
}

void Figures::Opened(Group group) {
  ++groups_[static_cast<size_t>(group)].flows;
  ++groups_[static_cast<size_t>(group)].open;
}

void Figures::Closed(Group group) { --groups_[static_cast<size_t>(group)].open; }

void Figures::FirstOutcome(Group group, int64_t started_us, int backend) {
  if (backend != kNoBackend) ++groups_[static_cast<size_t>(group)].flows_by_backend[backend];
  if (events_ == nullptr) return;
  const bool tcp = group == Group::kTcpKeep || group == Group::kTcpNew;
  std::fprintf(events_, "%" PRId64 " %s %s\n", started_us, tcp ? "tcp" : "udp",
               backend == kNoBackend ? "-" : names_[static_cast<size_t>(backend)].c_str());
}

void Figures::Ok(Group group, int backend, int64_t latency_us) {
  Counts& counts = groups_[static_cast<size_t>(group)];
  ++counts.ok;
  ++counts.ok_by_backend[backend];
  counts.latency.Add(latency_us);
}

void Figures::Failed(Group group, int backend, Failure failure, const std::string& detail) {
  Counts& counts = groups_[static_cast<size_t>(group)];
  ++counts.failed;
  ++counts.failures[backend][failure];
  if (details_.size() < kMaxDetails) {
    details_.push_back(std::string(kGroupNames[static_cast<size_t>(group)]) + " " +
                       NameOf(backend) + ": " + std::string(FailureName(failure)) + " " + detail);
  }
}

std::string Figures::NameOf(int backend) const {
  return backend == kNoBackend ? "" : names_[static_cast<size_t>(backend)];
}

nlohmann::json Figures::ToJson(const Counts& counts) const {
  nlohmann::json by_backend = nlohmann::json::object();
  nlohmann::json flows_by_backend = nlohmann::json::object();
  nlohmann::json failures = nlohmann::json::object();
  nlohmann::json failures_by_backend = nlohmann::json::object();
  for (const auto& [backend, count] : counts.ok_by_backend) by_backend[NameOf(backend)] = count;
  for (const auto& [backend, count] : counts.flows_by_backend) {
    flows_by_backend[NameOf(backend)] = count;
  }
  for (const auto& [backend, kinds] : counts.failures) {
    for (const auto& [kind, count] : kinds) {
      const std::string name(FailureName(kind));
      failures_by_backend[NameOf(backend)][name] = count;
      failures[name] = failures.value(name, uint64_t{0}) + count;
    }
  }
  return {{"flows", counts.flows},
          {"open", counts.open},
          {"ok", counts.ok},
          {"failed", counts.failed},
          {"failures", failures},
          {"by_backend", by_backend},
          {"flows_by_backend", flows_by_backend},
          {"failures_by_backend", failures_by_backend},
          {"latency_us",
           {{"p50", counts.latency.Percentile(0.5)},
            {"p99", counts.latency.Percentile(0.99)},
            {"max", counts.latency.max()}}}};
}

nlohmann::json Figures::ToJson(int64_t now_us) const {
  nlohmann::json json;
  uint64_t ok = 0;
  uint64_t failed = 0;
  for (size_t i = 0; i < kGroupCount; ++i) {
    json[std::string(kGroupNames[i])] = ToJson(groups_[i]);
    ok += groups_[i].ok;
    failed += groups_[i].failed;
  }
  json["elapsed_s"] = static_cast<double>(now_us - start_us_) / 1e6;
  json["ok"] = ok;
  json["failed"] = failed;
  json["details"] = details_;
  return json;
}

}  // namespace fairlead::loadgen
