#include "controlplane/observe/health/grpc_check.h"

#include <utility>

#include "controlplane/observe/health/grpc_dialogue.h"
#include "controlplane/observe/health/stream_probe.h"

namespace fairlead {
namespace asio = boost::asio;

asio::awaitable<ProbeAnswer> ProbeGrpc(ProbeTarget target, TlsContexts* contexts) {
  const GrpcSettings settings = ReadGrpcSettings(target.settings, target.address, target.port);
  GrpcDialogue dialogue(settings, target.timeout);
  if (settings.tls) {
    asio::awaitable<ProbeAnswer> answer =
        ProbeTlsStream(target, *settings.tls, Alpn::kHttp2, contexts, &dialogue);
    co_return co_await std::move(answer);
  }
  asio::awaitable<ProbeAnswer> answer = ProbeTcpStream(target, &dialogue);
  co_return co_await std::move(answer);
}

}  // namespace fairlead
