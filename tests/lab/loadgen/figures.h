// The load generator's counts, and their JSON.
//
//   {"elapsed_s": 10.0, "ok": 5210, "failed": 0, "details": [],
//    "tcp_keep": {"flows": 50, "open": 50, "ok": 5000, "failed": 0, "failures": {},
//                 "by_backend": {"backend1": 2500, ...}, "flows_by_backend": {...},
//                 "failures_by_backend": {}, "latency_us": {"p50":, "p99":, "max":}},
//    "tcp_new": {...}, "udp_keep": {...}, "udp_new": {...}}
//
// `flows` counts opened flows. `ok` and `failed` count requests. A connection that cannot be opened
// is a failed request. A failure's backend is the one that answered its flow before, "" if none.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace fairlead::loadgen {

enum class Group : uint8_t { kTcpKeep, kTcpNew, kUdpKeep, kUdpNew };
inline constexpr size_t kGroupCount = 4;

enum class Failure : uint8_t { kRefused, kReset, kTimeout, kShort, kMoved, kBadReply, kOther };
std::string_view FailureName(Failure failure);

inline constexpr int kNoBackend = -1;

// A histogram of microseconds: exact below 1024, within 1.6 % above.
class Histogram {
 public:
  void Add(int64_t us);
  int64_t Percentile(double share) const;  // 0 when empty
  int64_t max() const { return max_; }

 private:
  static constexpr uint32_t kExact = 1024;
  static constexpr uint32_t kPerOctave = 64;
  static size_t IndexOf(uint64_t us);
  static int64_t ValueOf(size_t index);
  std::array<uint64_t, kExact + kPerOctave * 32> counts_{};
  uint64_t total_ = 0;
  int64_t max_ = 0;
};

class Figures {
 public:
  // `events`: gets a line "<start us> tcp|udp <backend or ->" for each flow with a first reply or
  // failure. May be null.
  Figures(int64_t start_us, std::FILE* events) : start_us_(start_us), events_(events) {}

  int BackendNumber(std::string_view name);  // the number of this name; assigns one if it is new

  void Opened(Group group);
  void Closed(Group group);
  // Call it at the flow's first reply or at a failure before it (then `backend` is kNoBackend).
  void FirstOutcome(Group group, int64_t started_us, int backend);
  void Ok(Group group, int backend, int64_t latency_us);
  void Failed(Group group, int backend, Failure failure, const std::string& detail);

  nlohmann::json ToJson(int64_t now_us) const;

 private:
  struct Counts {
    uint64_t flows = 0;
    int64_t open = 0;
    uint64_t ok = 0;
    uint64_t failed = 0;
    std::map<int, uint64_t> ok_by_backend;
    std::map<int, uint64_t> flows_by_backend;
    std::map<int, std::map<Failure, uint64_t>> failures;
    Histogram latency;
  };
  std::string NameOf(int backend) const;
  nlohmann::json ToJson(const Counts& counts) const;

  static constexpr size_t kMaxDetails = 20;
  int64_t start_us_;
  std::FILE* events_;
  std::vector<std::string> names_;
  std::array<Counts, kGroupCount> groups_;
  std::vector<std::string> details_;
};

}  // namespace fairlead::loadgen
