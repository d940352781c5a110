#include "controlplane/observe/health/http_check.h"

#include <utility>

#include "controlplane/observe/health/http_dialogue.h"
#include "controlplane/observe/health/stream_probe.h"

namespace fairlead {
namespace asio = boost::asio;

asio::awaitable<ProbeAnswer> ProbeHttp(ProbeTarget target) {
  HttpDialogue dialogue(ReadHttpSettings(kHttpCheck, target.settings, target.address, target.port));
  asio::awaitable<ProbeAnswer> answer = ProbeTcpStream(target, &dialogue);
  co_return co_await std::move(answer);
}

asio::awaitable<ProbeAnswer> ProbeHttps(ProbeTarget target, TlsContexts* contexts) {
  HttpSettings http = ReadHttpSettings(kHttpsCheck, target.settings, target.address, target.port);
  const TlsSettings tls = ReadTlsSettings(kHttpsCheck, target.settings, HostName(http.host));
  HttpDialogue dialogue(std::move(http));
  asio::awaitable<ProbeAnswer> answer =
      ProbeTlsStream(target, tls, Alpn::kHttp1, contexts, &dialogue);
  co_return co_await std::move(answer);
}

}  // namespace fairlead
