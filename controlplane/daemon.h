// All parts of fairleadd in one object, with one thread and one io_context. main.cc runs it. Unit
// tests run it in their own process.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "controlplane/core/intent_log.h"
#include "controlplane/core/reconciler.h"
#include "controlplane/core/resource.h"
#include "controlplane/core/status_board.h"
#include "controlplane/core/status_writer.h"
#include "controlplane/core/store.h"
#include "controlplane/core/store_thread.h"
#include "controlplane/core/watchdog.h"
#include "controlplane/http/api.h"
#include "controlplane/http/server.h"
#include "controlplane/observe/drain/drains.h"
#include "controlplane/observe/frontends.h"
#include "controlplane/observe/health/checks.h"
#include "controlplane/observe/health/isolation_guard.h"
#include "controlplane/observe/neighbours/next_hop_controller.h"
#include "controlplane/observe/neighbours/next_hops.h"
#include "controlplane/observe/neighbours/way_look.h"
#include "controlplane/observe/outliers/outliers.h"
#include "controlplane/publish/publisher.h"
#include "lib/host/service_manager.h"

namespace fairlead {

struct DaemonOptions {
  std::string socket_path = "/run/fairlead/control.sock";
  std::string store_path = "/var/lib/fairlead/fairlead.db";
  std::string link_path = kDefaultLinkPath;
  std::string services_path;  // empty: none
  bool follow_neighbours = true;
  bool accept_older_store = false;
  HttpLimits http;
  std::function<Probers(size_t most_at_once)> make_probers = MakeProbers;  // replaced in tests
  ResourceList resources = BuiltInResources();
};

class Daemon {
 public:
  // `service_manager` is told the status, and its watchdog is fed. Null: nobody. It must outlive
  // this.
  Daemon(boost::asio::io_context* context, DaemonOptions options,
         ServiceManager* service_manager = nullptr);
  ~Daemon();

  // Opens everything. A failed start leaves nothing but directories and an empty store.
  Status Start();
  // Finishes replies, closes connections and removes the socket. Then the context has no more work.
  void Stop();

 private:
  Status OpenStore();
  Status ImportServices();
  void MakeControllers();
  void MakeProbePath();
  void MakeServer();
  // Why this host cannot reach the address. Empty: it can, as far as it knows.
  std::string WhyNoWayTo(const IpAddress& address) const;
  void TellStatus();
  boost::asio::awaitable<void> Shutdown();

  boost::asio::io_context* context_;
  DaemonOptions options_;
  ServiceManager nobody_;
  ServiceManager* service_manager_;
  Clock clock_;
  Reconciler reconciler_;
  GenerationCounter generations_;
  RuleBook rules_;
  StatusBoard board_;
  ServiceStates services_{&board_, &clock_};
  std::unique_ptr<StoreThread> store_;
  std::unique_ptr<IntentLog> log_;
  std::unique_ptr<StatusWriter> status_writer_;
  std::unique_ptr<NextHops> next_hops_;
  std::unique_ptr<FrontendController> frontends_;
  std::unique_ptr<NextHopController> next_hop_controller_;
  std::unique_ptr<ProbePath> probe_path_;
  std::unique_ptr<WayLook> way_look_;
  std::unique_ptr<IsolationGuard> guard_;
  std::unique_ptr<HealthChecks> checks_;
  std::unique_ptr<DrainController> drains_;
  std::unique_ptr<OutlierController> outliers_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Watchdog> watchdog_;  // null: the service manager has none
  Router router_;
  ConditionCounts conditions_{&board_};
  Api api_;
  ListeningSocket socket_;
  std::unique_ptr<HttpServer> server_;
  bool stopping_ = false;
};

}  // namespace fairlead
