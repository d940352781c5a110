#include "controlplane/observe/health/probers.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <sys/resource.h>

#include "controlplane/observe/health/tcp_check.h"

namespace fairlead {
namespace asio = boost::asio;

namespace {

struct TypedProber {
  const CheckType* type;
  asio::awaitable<ProbeAnswer> (*probe)(ProbeTarget target);
};
constexpr TypedProber kProbers[] = {{&kTcpCheck, ProbeTcp}};

// For the API's connections, the link, the store, netlink.
constexpr size_t kOtherDescriptors = 512;
constexpr size_t kFewestProbes = 16;

asio::awaitable<ProbeAnswer> ProbeWithin(std::shared_ptr<size_t> under_way, size_t most_at_once,
                                         Prober prober, ProbeTarget target) {
  if (*under_way >= most_at_once) {
    co_return ProbeAnswer{
        .skipped = fmt::format("{} checks are under way, as many as there are descriptors for",
                               most_at_once)};
  }
  ++*under_way;
  asio::awaitable<ProbeAnswer> probe = prober(std::move(target));
  ProbeAnswer answer = co_await std::move(probe);
  --*under_way;
  co_return answer;
}

}  // namespace

Probers MakeProbers(size_t most_at_once) {
  const auto under_way = std::make_shared<size_t>(0);
  Probers probers;
  for (const TypedProber& each : kProbers) {
    const Prober prober = each.probe;
    probers[each.type] = [under_way, most_at_once, prober](ProbeTarget target) {
      return ProbeWithin(under_way, most_at_once, prober, std::move(target));
    };
  }
  return probers;
}

size_t MostProbesAtOnce() {
  rlimit limit{};
  const size_t descriptors = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
  return std::max(descriptors, kOtherDescriptors + kFewestProbes) - kOtherDescriptors;
}

}  // namespace fairlead
