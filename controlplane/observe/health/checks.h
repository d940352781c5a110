// Runs the TCP checks: one per (address, port, parameters), however many backends of however many
// services share it. Level-triggered: Sync() is told what is wanted, and starts and ends checks.
//
// A check ends with its last backend, so no probe that is still under way can revive a backend that
// was removed: its answer finds no check. One thread (the executor's).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "controlplane/common/time.h"
#include "controlplane/core/registry.h"
#include "controlplane/observe/health/check_machine.h"

namespace fairlead {

struct CheckKey {
  IpAddress address;
  uint16_t port = 0;  // the one to connect to
  uint32_t interval_ms = 0;
  uint32_t timeout_ms = 0;
  uint32_t rise = 0;
  uint32_t fall = 0;
  friend auto operator<=>(const CheckKey&, const CheckKey&) = default;
};

// The ports that `service` checks `backend` on: the check's, else the backend's, else the first
// frontend's that names one; with `ports: all` those of all TCP frontends. Of a range its first port
// is checked. Ascending; empty: there is none.
std::vector<uint16_t> CheckPorts(const ServiceSpec& service, const BackendSpec& backend);

struct ProbeAnswer {
  bool passed = false;
  std::string reason;  // of a failure: "connection refused"
  // This host had no descriptor, port or memory for it: that says nothing about the backend.
  bool not_made = false;
};

// One attempt; returns within `timeout`. Replaced in tests.
using Prober = std::function<boost::asio::awaitable<ProbeAnswer>(
    IpAddress address, uint16_t port, std::chrono::milliseconds timeout)>;
// `most_at_once`: attempts beyond so many are not made.
Prober TcpProber(size_t most_at_once);
// As many as leave descriptors for everything else that the process does, under its present limit.
size_t MostProbesAtOnce();

class HealthChecks {
 public:
  // `on_change` is called after a backend's health was changed in the registry.
  HealthChecks(boost::asio::any_io_executor executor, Registry* registry, Prober prober,
               std::function<void()> on_change);
  ~HealthChecks();

  void Sync();
  void Stop();
  size_t check_count() const { return checks_.size(); }

 private:
  struct Check;

  void Want(const ServiceSpec& service, const BackendSpec& spec, BackendRuntime* backend,
            std::map<CheckKey, std::set<uint32_t>>* wanted);
  void Begin(const CheckKey& key, std::set<uint32_t> backends);
  boost::asio::awaitable<void> Run(std::shared_ptr<Check> check);
  void NotMade(const std::string& reason);
  void Report(const Check& check, const std::string& reason);
  // Brings what all checks of a backend say into the registry: unhealthy where one of them is, healthy
  // where all are; else it stays as it is.
  void JudgeBySeveral(uint32_t backend_id, const std::vector<Check*>& checks);
  void Assign(BackendRuntime* backend, HealthState state, const std::string& reason);

  boost::asio::any_io_executor executor_;
  Registry* registry_;
  Prober prober_;
  std::function<void()> on_change_;
  std::map<CheckKey, std::shared_ptr<Check>> checks_;
  std::map<uint32_t, std::vector<Check*>> several_;  // of backends with several, by their ids
  bool changed_ = false;
  SteadyTime not_made_told_{};
  uint64_t not_made_ = 0;  // since it was told of
};

}  // namespace fairlead
