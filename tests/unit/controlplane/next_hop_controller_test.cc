// Tests which next hops the backends of a service get, with a real kernel in a new network
// namespace.
#include "controlplane/observe/neighbours/next_hop_controller.h"

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "controlplane/observe/neighbours/next_hops.h"
#include "tests/unit/controlplane/core_fixture.h"
#include "tests/unit/controlplane/own_namespace.h"

namespace fairlead {
namespace {

using testing::HasSubstr;

constexpr const char* kFarBackend = "10.0.3.7";

SnapshotNextHop HopTo(const std::string& mac, const std::string& interface, uint16_t vlan = 0) {
  return {*MacAddress::Parse(mac), vlan, interface};
}

// The host has the interface `left` to the backends and the default route, and `near` to the
// backend 10.0.3.7. All neighbours are known.
class NextHopControllerTest : public CoreTest, protected OwnNamespace {
 protected:
  void Run(const std::function<void()>& body) {
    InNamespace([&] {
      MakeVethPair();
      Ip("neigh add 10.0.0.254 lladdr 02:00:00:00:00:fe dev left nud permanent");
      Ip("route add default via 10.0.0.254");
      Ip("link add near type veth peer name far");
      Ip("link set far up");
      ConnectNear();
      Restart();
      body();
      controller_.reset();
      processes_.clear();
    });
  }

  // The whole set-up of an interface that appears, and its end.
  static void ConnectNear() {
    Ip("link set near up");
    Ip("address replace 10.0.3.1/24 dev near");
    Ip("neigh replace 10.0.3.7 lladdr 02:00:00:00:03:07 dev near nud permanent");
  }
  static void DisconnectNear() { Ip("link set near down"); }

  // Starts as a new process does, with the present routes.
  void Restart() {
    if (!processes_.empty()) hops().Stop();
    // The handlers of one that has stopped may still run.
    processes_.push_back(std::make_unique<NextHops>(context_->get_executor(), [] {}));
    ASSERT_TRUE(hops().Start().ok());
    controller_ = std::make_unique<NextHopController>(&hops(), board_.get());
    controller_->Reconcile(View());
  }

  void AddServiceOf(const std::string& name, const std::string& mode, const std::string& backend) {
    const std::string json = R"({"name": ")" + name + R"(", "frontends": ["203.0.113.)" +
                             std::to_string(++frontends_) + R"(:80/tcp"], "forwarding": ")" + mode +
                             R"(", "backends": [)" + backend + "]}";
    ASSERT_TRUE(Apply(AddService(ParseServiceSpec(json))).ok());
    controller_->Reconcile(View());
  }

  const std::optional<SnapshotNextHop>& HopOf(const std::string& service) {
    return StatusOf(service, kFarBackend).next_hop;
  }
  LeftOut LeftOutOf(const std::string& service) { return StatusOf(service, kFarBackend).left_out; }
  // Runs until the service's backend has this next hop.
  bool Gets(const std::string& service, const std::optional<SnapshotNextHop>& hop) {
    return RunUntil([&] {
      controller_->Reconcile(View());
      return HopOf(service) == hop;
    });
  }
  NextHops& hops() { return *processes_.back(); }
  std::string ReasonFor(ForwardingMode mode) {
    return hops().MissingReasonFor(ModeOf(mode), *IpAddress::Parse(kFarBackend));
  }

  const std::string backend_ = R"({"address": "10.0.3.7"})";
  const SnapshotNextHop direct_ = HopTo("02:00:00:00:03:07", "near");
  const SnapshotNextHop gateway_ = HopTo("02:00:00:00:00:fe", "left");
  std::vector<std::unique_ptr<NextHops>> processes_;  // the last one runs
  std::unique_ptr<NextHopController> controller_;
  int frontends_ = 0;
};

TEST_F(NextHopControllerTest, ADsrBackendIsNeverReachedThroughAGateway) {
  Run([this] {
    AddServiceOf("direct", "dsr", backend_);
    AddServiceOf("tunnel", "ipip", backend_);
    EXPECT_EQ(HopOf("direct"), direct_);
    EXPECT_EQ(HopOf("tunnel"), direct_);

    DisconnectNear();  // the default route is left
    EXPECT_TRUE(Gets("tunnel", gateway_));
    EXPECT_EQ(HopOf("direct"), std::nullopt);
    EXPECT_EQ(LeftOutOf("direct"), LeftOut::k_behind_gateway);
    EXPECT_EQ(LeftOutOf("tunnel"), LeftOut::kNo);
    EXPECT_EQ(
        ReasonFor(ForwardingMode::kDsr),
        "10.0.3.7 is reached through gateway 10.0.0.254 on left, but mode dsr needs a backend "
        "on the same link; give this host an interface or a route that reaches it directly, "
        "set the backend's mac, or use ipip, gue or nat");

    ConnectNear();
    EXPECT_TRUE(Gets("direct", direct_));
    EXPECT_TRUE(Gets("tunnel", direct_));
    EXPECT_EQ(LeftOutOf("direct"), LeftOut::kNo);
  });
}

// Neither the backend's MAC nor the gateway's is known: there is no next hop that could change.
TEST_F(NextHopControllerTest, ADsrBackendIsLeftOutWhetherOrNotTheMacsAreKnown) {
  Run([this] {
    Ip("neigh del 10.0.3.7 dev near");
    Ip("neigh del 10.0.0.254 dev left");
    Restart();
    AddServiceOf("web", "dsr", backend_);
    EXPECT_EQ(LeftOutOf("web"), LeftOut::kNo);
    const auto becomes = [&](LeftOut reason) {
      return RunUntil([&] {
        controller_->Reconcile(View());
        return LeftOutOf("web") == reason;
      });
    };
    DisconnectNear();
    EXPECT_TRUE(becomes(LeftOut::k_behind_gateway));
    Ip("link set near up");
    Ip("address replace 10.0.3.1/24 dev near");
    EXPECT_TRUE(becomes(LeftOut::kNo));
    DisconnectNear();
    EXPECT_TRUE(becomes(LeftOut::k_behind_gateway));
    Ip("route del default");
    EXPECT_TRUE(becomes(LeftOut::kNo)) << "there is no gateway any more, and no route";
    EXPECT_EQ(HopOf("web"), std::nullopt);
  });
}

TEST_F(NextHopControllerTest, ADsrBackendIsNotReachedThroughAGatewayAfterARestart) {
  Run([this] {
    AddServiceOf("direct", "dsr", backend_);
    DisconnectNear();
    Restart();
    EXPECT_TRUE(Gets("direct", std::nullopt));
    EXPECT_THAT(ReasonFor(ForwardingMode::kDsr), HasSubstr("through gateway 10.0.0.254 on left"));
    ConnectNear();
    EXPECT_TRUE(Gets("direct", direct_));
  });
}

TEST_F(NextHopControllerTest, ANewModeChangesWhetherAGatewayIsAllowed) {
  Run([this] {
    DisconnectNear();
    AddServiceOf("web", "dsr", backend_);
    AddServiceOf("other", "ipip", backend_);
    EXPECT_TRUE(Gets("other", gateway_));
    EXPECT_EQ(HopOf("web"), std::nullopt);
    const auto change = [this](ForwardingMode mode) {
      const Result<Committed> changed =
          Apply(EditService("web", [&](const ServiceSpec& present) -> Result<ServiceSpec> {
            ServiceSpec spec = present;
            spec.forwarding = mode;
            return spec;
          }));
      ASSERT_TRUE(changed.ok()) << changed.status().message();
      controller_->Reconcile(View());
    };
    change(ForwardingMode::kIpip);
    EXPECT_EQ(HopOf("web"), gateway_);
    EXPECT_EQ(LeftOutOf("web"), LeftOut::kNo);
    change(ForwardingMode::kDsr);
    EXPECT_EQ(HopOf("web"), std::nullopt);
    EXPECT_EQ(LeftOutOf("web"), LeftOut::k_behind_gateway);
    EXPECT_EQ(HopOf("other"), gateway_) << "another service of the address";
  });
}

TEST_F(NextHopControllerTest, AStaticMacNeedsNoRoute) {
  Run([this] {
    DisconnectNear();
    AddServiceOf("web", "dsr", R"({"address": "10.0.3.7", "mac": "02:00:00:00:03:99"})");
    EXPECT_EQ(HopOf("web"), HopTo("02:00:00:00:03:99", ""));
  });
}

TEST_F(NextHopControllerTest, ADsrBackendInAVlanWaitsForItsInterface) {
  Run([this] {
    if (std::system("ip link add link left name left.20 type vlan id 20 2>/dev/null") != 0) {
      missing_ = "this kernel has no VLAN interfaces";
      return;
    }
    const auto connect = [] {
      Ip("link set left.20 up");
      Ip("address add 10.0.3.1/24 dev left.20");
      Ip("neigh add 10.0.3.7 lladdr 02:00:00:00:03:07 dev left.20 nud permanent");
    };
    DisconnectNear();
    connect();
    AddServiceOf("web", "dsr", backend_);
    EXPECT_TRUE(Gets("web", HopTo("02:00:00:00:03:07", "left", 20)));
    Ip("link del left.20");
    EXPECT_TRUE(Gets("web", std::nullopt));
    EXPECT_THAT(ReasonFor(ForwardingMode::kDsr), HasSubstr("through gateway 10.0.0.254 on left"));
    Ip("link add link left name left.20 type vlan id 20");
    connect();
    EXPECT_TRUE(Gets("web", HopTo("02:00:00:00:03:07", "left", 20)));
  });
}

}  // namespace
}  // namespace fairlead
