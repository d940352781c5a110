// Runs fairleadd in the test process, with its API. A fake dataplane can listen at link_.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "controlplane/common/log.h"
#include "tests/unit/controlplane/http_client.h"
#include "tests/unit/controlplane/support.h"

namespace fairlead {

// One service, web, with one backend without a check.
inline constexpr const char* kWeb = R"({"name": "web", "frontends": ["203.0.113.10:80/tcp"],
    "health_check": {"type": "none"},
    "backends": [{"address": "10.0.0.1", "mac": "02:00:00:00:00:01"}]})";

class DaemonTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(ConfigureLog("text", "off").ok()); }

  void Start() {
    DaemonOptions options;
    options.socket_path = socket_;
    options.store_path = store_;
    options.link_path = link_;
    options.follow_neighbours = false;
    options.accept_older_store = accept_older_store_;
    options.make_probers = make_probers_;
    daemon_ = std::make_unique<RunningDaemon>(options);
    ASSERT_TRUE(daemon_->start_status().ok()) << daemon_->start_status().message();
  }
  Answer Call(const std::string& method, const std::string& target, const std::string& body = {}) {
    return Ask(socket_, method, target, body);
  }
  // Waits until `done` accepts the `dataplane` of /v1/status. Returns false after 20 s.
  bool WaitForStatus(const std::function<bool(const nlohmann::json& dataplane)>& done) {
    return AskUntil(socket_, "/v1/status",
                    [&](const nlohmann::json& status) { return done(status["dataplane"]); });
  }
  bool WaitConnected() {
    return WaitForStatus([](const nlohmann::json& view) { return view["connected"] == true; });
  }

  TempDir directory_;
  std::string socket_ = directory_.File("control.sock");
  std::string store_ = directory_.File("store.db");
  std::string link_ = directory_.File("dataplane.sock");
  bool accept_older_store_ = false;
  std::function<Probers(size_t most_at_once)> make_probers_ = MakeProbers;
  std::unique_ptr<RunningDaemon> daemon_;
};

}  // namespace fairlead
