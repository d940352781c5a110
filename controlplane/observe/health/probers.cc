#include "controlplane/observe/health/probers.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <sys/resource.h>

#include "controlplane/observe/health/grpc_check.h"
#include "controlplane/observe/health/http_check.h"
#include "controlplane/observe/health/tcp_check.h"
#include "controlplane/observe/health/tls_contexts.h"
#include "controlplane/observe/health/udp_check.h"

namespace fairlead {
namespace asio = boost::asio;

namespace {

struct TypedProber {
  const CheckType* type;
  asio::awaitable<ProbeAnswer> (*probe)(ProbeTarget target);
  // For types that may use TLS, instead of `probe`.
  asio::awaitable<ProbeAnswer> (*tls_probe)(ProbeTarget target, TlsContexts* contexts) = nullptr;
};
constexpr TypedProber kProbers[] = {{&kTcpCheck, ProbeTcp},
                                    {&kHttpCheck, ProbeHttp},
                                    {&kHttpsCheck, nullptr, ProbeHttps},
                                    {&kGrpcCheck, nullptr, ProbeGrpc},
                                    {&kUdpCheck, ProbeUdp}};

Prober MakeProber(const TypedProber& each, const std::shared_ptr<TlsContexts>& contexts) {
  if (each.tls_probe == nullptr) return each.probe;
  return [probe = each.tls_probe, contexts](ProbeTarget target) {
    return probe(std::move(target), contexts.get());
  };
}

// Reserved for the API's connections, the link, the store and netlink.
constexpr size_t kOtherFileDescriptors = 512;
constexpr size_t kFewestProbes = 16;

// Counts a probe while it exists, also when the probe throws or its coroutine is destroyed.
class CountedProbe {
 public:
  explicit CountedProbe(size_t* count) : count_(count) { ++*count_; }
  CountedProbe(const CountedProbe&) = delete;
  CountedProbe& operator=(const CountedProbe&) = delete;
  ~CountedProbe() { --*count_; }

 private:
  size_t* count_;
};

asio::awaitable<ProbeAnswer> ProbeWithin(std::shared_ptr<size_t> under_way, size_t most_at_once,
                                         Prober prober, ProbeTarget target) {
  if (*under_way >= most_at_once) {
    co_return ProbeAnswer{
        .skipped = fmt::format("{} checks are running, all that the file descriptor limit allows",
                               most_at_once)};
  }
  const CountedProbe counted(under_way.get());
  asio::awaitable<ProbeAnswer> probe = prober(std::move(target));
  co_return co_await std::move(probe);
}

}  // namespace

Probers MakeProbers(size_t most_at_once) {
  const auto under_way = std::make_shared<size_t>(0);
  const auto contexts = std::make_shared<TlsContexts>();
  Probers probers;
  for (const TypedProber& each : kProbers) {
    const Prober prober = MakeProber(each, contexts);
    probers[each.type] = [under_way, most_at_once, prober](ProbeTarget target) {
      return ProbeWithin(under_way, most_at_once, prober, std::move(target));
    };
  }
  return probers;
}

size_t MostProbesAtOnce() {
  rlimit limit{};
  const size_t file_descriptors = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
  return std::max(file_descriptors, kOtherFileDescriptors + kFewestProbes) - kOtherFileDescriptors;
}

}  // namespace fairlead
