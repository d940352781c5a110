// fairleadd's parts, put together: one object, one thread, one io_context. main.cc runs it; the
// unit tests run it in their process.
#pragma once

#include <memory>
#include <set>
#include <string>

#include <boost/asio/io_context.hpp>

#include "controlplane/core/registry.h"
#include "controlplane/core/store.h"
#include "controlplane/http/api.h"
#include "controlplane/http/server.h"
#include "controlplane/observe/drain/drains.h"
#include "controlplane/observe/health/checks.h"
#include "controlplane/observe/neighbours/next_hops.h"
#include "controlplane/publish/publisher.h"

namespace fairlead {

struct DaemonOptions {
  std::string socket_path = "/run/fairlead/control.sock";
  std::string store_path = "/var/lib/fairlead/fairlead.db";
  std::string link_path = kDefaultLinkPath;
  std::string services_path;  // empty: none
  bool follow_neighbours = true;
  bool accept_older_store = false;
  HttpLimits http;
};

class Daemon {
 public:
  Daemon(boost::asio::io_context* context, DaemonOptions options);
  ~Daemon();

  // Opens everything. After a failure nothing is left behind but directories and an empty store.
  Status Start();
  // Finishes replies, closes, removes the socket; then the context runs out of work.
  void Stop();

 private:
  Status ImportServices();
  void OnIntentChange();
  void OnNextHopChange();
  void FollowOwnAddresses();
  void WatchNextHops();
  bool Settled() const;
  boost::asio::awaitable<void> Shutdown();

  boost::asio::io_context* context_;
  DaemonOptions options_;
  Clock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Drains> drains_;
  std::unique_ptr<NextHops> next_hops_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<HealthChecks> checks_;
  Router router_;
  Api api_;
  ListeningSocket socket_;
  std::unique_ptr<HttpServer> server_;
  bool stopping_ = false;
};

}  // namespace fairlead
