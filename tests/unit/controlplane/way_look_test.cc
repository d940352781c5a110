// Looks at ways with a real kernel, whose neighbours never answer. tests/e2e/test_failing_together.py
// has some that do.
#include "controlplane/observe/neighbours/way_look.h"

#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "controlplane/common/log.h"
#include "tests/unit/controlplane/own_namespace.h"
#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

IpAddress Address(const std::string& text) { return *IpAddress::Parse(text); }

class WayLookTest : public testing::Test, protected OwnNamespace {
 protected:
  // left has 10.0.0.1/24, and 10.9.0.0/24 is behind gateway 10.0.0.254.
  void WithGateway(const std::function<void(NextHops*, WayLook*)>& body) {
    InNamespace([&] {
      ASSERT_TRUE(ConfigureLog("text", "off").ok());
      MakeVethPair();
      Ip("route add 10.9.0.0/24 via 10.0.0.254");
      NextHops hops(context_.get_executor(), [] {});
      ASSERT_TRUE(hops.Start().ok());
      WayLook look(context_.get_executor(), &hops);
      body(&hops, &look);
      hops.Stop();
      context_.restart();
      context_.run_for(std::chrono::milliseconds(100));
    });
  }
  WayState Look(WayLook* look, const std::string& address) {
    std::optional<WayState> state;
    boost::asio::co_spawn(context_, look->Look(Address(address)),
                          [&](std::exception_ptr, WayState result) { state = std::move(result); });
    context_.restart();
    while (!state.has_value()) context_.run_one();
    return *state;
  }

  boost::asio::io_context context_;
};

TEST_F(WayLookTest, AGatewayThatDoesNotAnswerIsSilentAlthoughTheKernelKnowsIt) {
  WithGateway([&](NextHops* hops, WayLook* look) {
    Ip("neigh add 10.0.0.254 lladdr 02:00:00:00:00:fe dev left nud reachable");
    hops->Follow(Address("10.9.0.11"));
    context_.run_for(std::chrono::milliseconds(50));
    const WayState state = Look(look, "10.9.0.11");
    EXPECT_EQ(state.loss, WayLoss::kSilent);
    EXPECT_EQ(state.way.gateway, Address("10.0.0.254"));
    EXPECT_EQ(state.interface, "left");
    EXPECT_THAT(Output("ip neigh show 10.0.0.254"), AnyOf(HasSubstr("PROBE"), HasSubstr("FAILED")));
  });
}

TEST_F(WayLookTest, AnUnknownGatewayIsAskedToo) {
  WithGateway([&](NextHops*, WayLook* look) {
    EXPECT_EQ(Look(look, "10.9.0.11").loss, WayLoss::kSilent);
    EXPECT_THAT(Output("ip neigh show 10.0.0.254"),
                AnyOf(HasSubstr("INCOMPLETE"), HasSubstr("FAILED")));
  });
}

TEST_F(WayLookTest, APermanentEntryIsNotAskedAndSaysNothing) {
  InNamespace([&] {
    ASSERT_TRUE(ConfigureLog("text", "off").ok());
    MakeVethPair();
    Ip("route add 10.9.0.0/24 via 10.0.0.254");
    Ip("neigh add 10.0.0.254 lladdr 02:00:00:00:00:fe dev left nud permanent");
    NextHops hops(context_.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    WayLook look(context_.get_executor(), &hops);
    EXPECT_EQ(Look(&look, "10.9.0.11").loss, WayLoss::kNone);
    EXPECT_THAT(Output("ip neigh show 10.0.0.254"), HasSubstr("PERMANENT"));
    hops.Stop();
    context_.restart();
    context_.run_for(std::chrono::milliseconds(100));
  });
}

TEST_F(WayLookTest, OnALinkAnotherMustAnswerIfThereIsOne) {
  WithGateway([&](NextHops* hops, WayLook* look) {
    hops->Follow(Address("10.0.0.11"));
    EXPECT_EQ(Look(look, "10.0.0.11").loss, WayLoss::kNone) << "its own silence proves nothing";
    hops->Follow(Address("10.0.0.12"));
    const SteadyTime later = SteadyNow() + std::chrono::milliseconds(250);
    while (SteadyNow() < later) context_.run_for(std::chrono::milliseconds(10));
    const WayState state = Look(look, "10.0.0.11");
    EXPECT_EQ(state.loss, WayLoss::kSilent);
    EXPECT_EQ(state.way.gateway, IpAddress());
  });
}

TEST_F(WayLookTest, SeesAMissingCarrierAndAMissingRoute) {
  WithGateway([&](NextHops*, WayLook* look) {
    EXPECT_EQ(Look(look, "172.16.0.1").loss, WayLoss::kNoRoute);
    Ip("link set right down");
    const WayState state = Look(look, "10.9.0.11");
    EXPECT_EQ(state.loss, WayLoss::kNoCarrier);
    EXPECT_EQ(state.interface, "left");
  });
}

TEST_F(WayLookTest, ChoosesWitnessesEvenly) {
  WithGateway([&](NextHops* hops, WayLook*) {
    for (int i = 11; i <= 50; ++i) hops->Follow(Address("10.0.0." + std::to_string(i)));
    hops->Follow(Address("10.9.0.11"));  // its gateway is on the link
    const int index = hops->FindWayOut(Address("10.0.0.11")).route.interface_index;
    EXPECT_EQ(hops->OnLinkWitnesses(index, 100).size(), 41U);
    const std::set<IpAddress> few = hops->OnLinkWitnesses(index, 10);
    EXPECT_LE(few.size(), 10U);
    EXPECT_GE(few.size(), 8U);
    EXPECT_TRUE(hops->OnLinkWitnesses(index + 1, 10).empty());
  });
}

}  // namespace
}  // namespace fairlead
