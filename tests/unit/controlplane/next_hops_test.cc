// Tests next hops with a real kernel: a veth pair, a VLAN and a gateway in a new network namespace.
#include "controlplane/observe/neighbours/next_hops.h"

#include <cstdlib>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "controlplane/common/log.h"
#include "tests/unit/controlplane/own_namespace.h"
#include "tests/unit/controlplane/support.h"

namespace fairlead {
namespace {

using testing::HasSubstr;

class NextHopsTest : public testing::Test, protected OwnNamespace {
 protected:
  // left has 10.0.0.1/24. right has no address and answers nothing, so the test alone decides which
  // neighbours exist.
  static void MakePair() {
    ASSERT_TRUE(ConfigureLog("text", "off").ok());
    MakeVethPair();
  }

  template <typename Condition>
  static bool RunUntil(boost::asio::io_context* context, Condition&& done) {
    const SteadyTime limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done() && std::chrono::steady_clock::now() < limit) {
      context->run_one_for(std::chrono::milliseconds(100));
    }
    return done();
  }
};

const IpAddress kBackend = *IpAddress::Parse("10.0.0.11");

SnapshotNextHop Hop(const std::string& mac, const std::string& interface, uint16_t vlan = 0) {
  return {*MacAddress::Parse(mac), vlan, interface};
}

TEST_F(NextHopsTest, FindsAKnownNeighbourAtOnce) {
  InNamespace([] {
    MakePair();
    Ip("neigh add 10.0.0.11 lladdr 02:00:00:00:00:11 dev left nud permanent");
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    hops.Follow(kBackend);
    EXPECT_EQ(hops.Find(kBackend), Hop("02:00:00:00:00:11", "left"));
  });
}

TEST_F(NextHopsTest, FollowsANeighboursMac) {
  InNamespace([] {
    MakePair();
    boost::asio::io_context context;
    int changes = 0;
    NextHops hops(context.get_executor(), [&] { ++changes; });
    ASSERT_TRUE(hops.Start().ok());
    hops.Follow(kBackend);
    EXPECT_EQ(hops.Find(kBackend), std::nullopt);
    EXPECT_THAT(hops.MissingReason(kBackend),
                HasSubstr("waiting for the MAC of 10.0.0.11 on left"));
    Ip("neigh replace 10.0.0.11 lladdr 02:00:00:00:00:11 dev left nud reachable");
    EXPECT_TRUE(RunUntil(&context, [&] { return changes == 1; }));
    EXPECT_EQ(hops.Find(kBackend), Hop("02:00:00:00:00:11", "left"));
    Ip("neigh replace 10.0.0.11 lladdr 02:00:00:00:00:12 dev left nud reachable");
    EXPECT_TRUE(RunUntil(&context, [&] { return changes == 2; }));
    EXPECT_EQ(hops.Find(kBackend), Hop("02:00:00:00:00:12", "left"));
  });
}

TEST_F(NextHopsTest, KeepsAMacThatTheKernelForgets) {
  InNamespace([] {
    MakePair();
    Ip("neigh add 10.0.0.11 lladdr 02:00:00:00:00:11 dev left nud permanent");
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    hops.Follow(kBackend);
    Ip("neigh del 10.0.0.11 dev left");
    Ip("neigh add 10.0.0.12 lladdr 02:00:00:00:00:12 dev left nud permanent");
    const IpAddress other = *IpAddress::Parse("10.0.0.12");
    EXPECT_TRUE(RunUntil(&context, [&] {
      hops.Follow(kBackend);
      hops.Follow(other);
      return hops.Find(other).has_value();
    }));
    EXPECT_EQ(hops.Find(kBackend), Hop("02:00:00:00:00:11", "left"));
  });
}

TEST_F(NextHopsTest, AsksTheKernelToResolveAnUnknownNeighbour) {
  InNamespace([] {
    MakePair();
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    EXPECT_EQ(Output("ip neigh show 10.0.0.11"), "");
    hops.Follow(kBackend);
    // The kernel has sent a request, and gets no answer. It gives up after three seconds.
    EXPECT_THAT(Output("ip neigh show 10.0.0.11"),
                AnyOf(HasSubstr("INCOMPLETE"), HasSubstr("FAILED")));
  });
}

TEST_F(NextHopsTest, FollowsAGatewayAndItsChange) {
  InNamespace([] {
    MakePair();
    Ip("neigh add 10.0.0.254 lladdr 02:00:00:00:00:fe dev left nud permanent");
    Ip("neigh add 10.0.0.253 lladdr 02:00:00:00:00:fd dev left nud permanent");
    Ip("route add 192.0.2.0/24 via 10.0.0.254");
    const IpAddress routed = *IpAddress::Parse("192.0.2.77");
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    hops.Follow(routed);
    EXPECT_EQ(hops.Find(routed), Hop("02:00:00:00:00:fe", "left"));
    Ip("route replace 192.0.2.0/24 via 10.0.0.253");
    EXPECT_TRUE(
        RunUntil(&context, [&] { return hops.Find(routed) == Hop("02:00:00:00:00:fd", "left"); }));
    Ip("route del 192.0.2.0/24");
    EXPECT_TRUE(RunUntil(&context, [&] { return !hops.Find(routed).has_value(); }));
    EXPECT_THAT(hops.MissingReason(routed), HasSubstr("no route to 192.0.2.77"));
  });
}

TEST_F(NextHopsTest, FollowsDefaultRoutesAndTheirChange) {
  InNamespace([] {
    MakePair();
    Ip("address add 2001:db8:a::1/64 dev left nodad");
    Ip("neigh add 10.0.0.254 lladdr 02:00:00:00:00:fe dev left nud permanent");
    Ip("neigh add 10.0.0.253 lladdr 02:00:00:00:00:fd dev left nud permanent");
    Ip("neigh add 2001:db8:a::fe lladdr 02:00:00:00:06:fe dev left nud permanent");
    const IpAddress four = UnspecifiedAddress(Family::kIpv4);
    const IpAddress six = UnspecifiedAddress(Family::kIpv6);
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    hops.Follow(four);
    hops.Follow(six);
    EXPECT_EQ(hops.Find(four), std::nullopt);
    EXPECT_EQ(hops.MissingReason(four), "this host has no IPv4 default route");
    EXPECT_EQ(hops.MissingReason(six), "this host has no IPv6 default route");
    EXPECT_FALSE(hops.Waiting(four));
    Ip("route add default via 10.0.0.254");
    Ip("-6 route add default via 2001:db8:a::fe");
    EXPECT_TRUE(RunUntil(&context, [&] { return hops.Find(four) && hops.Find(six); }));
    EXPECT_EQ(hops.Find(four), Hop("02:00:00:00:00:fe", "left"));
    EXPECT_EQ(hops.Find(six), Hop("02:00:00:00:06:fe", "left"));
    Ip("route replace default via 10.0.0.253");
    EXPECT_TRUE(
        RunUntil(&context, [&] { return hops.Find(four) == Hop("02:00:00:00:00:fd", "left"); }));
    Ip("route replace default via 10.0.0.99");  // no neighbour has this address
    EXPECT_TRUE(RunUntil(&context, [&] { return hops.Waiting(four); }));
    EXPECT_EQ(hops.Find(four), std::nullopt);
    Ip("route del default");
    EXPECT_TRUE(RunUntil(&context, [&] { return !hops.Waiting(four); }));
    EXPECT_EQ(hops.Find(four), std::nullopt);
    EXPECT_EQ(hops.Find(six), Hop("02:00:00:00:06:fe", "left"));
  });
}

TEST_F(NextHopsTest, FindsTheDefaultRouteAmongOtherRoutes) {
  InNamespace([] {
    MakePair();
    Ip("neigh add 10.0.0.254 lladdr 02:00:00:00:00:fe dev left nud permanent");
    Ip("route add unreachable 192.88.99.0/24");
    Ip("route add 198.18.0.0/15 via 10.0.0.254");
    const IpAddress four = UnspecifiedAddress(Family::kIpv4);
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    hops.Follow(four);
    EXPECT_EQ(hops.MissingReason(four), "this host has no IPv4 default route");
    hops.Forget(four);
    Ip("route add default dev left");
    hops.Follow(four);
    EXPECT_EQ(hops.MissingReason(four), "the IPv4 default route has no gateway");
    hops.Forget(four);
    Ip("route replace default via 10.0.0.254");
    hops.Follow(four);
    EXPECT_EQ(hops.Find(four), Hop("02:00:00:00:00:fe", "left"));
  });
}

TEST_F(NextHopsTest, RefusesARouteThatLeadsBackToAFrontend) {
  InNamespace([] {
    MakePair();
    Ip("neigh add 10.0.0.254 lladdr 02:00:00:00:00:fe dev left nud permanent");
    Ip("neigh add 10.0.0.253 lladdr 02:00:00:00:00:fd dev left nud permanent");
    Ip("route add 192.0.2.0/24 via 10.0.0.254");
    const IpAddress routed = *IpAddress::Parse("192.0.2.77");
    const IpAddress frontend = *IpAddress::Parse("10.0.0.254");
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    hops.SetFrontends({frontend});
    hops.Follow(routed);
    EXPECT_EQ(hops.Find(routed), std::nullopt);
    EXPECT_EQ(hops.MissingReason(routed),
              "its route leads to 10.0.0.254, a frontend: packets would come back in a loop");
    hops.SetFrontends({});
    EXPECT_EQ(hops.Find(routed), Hop("02:00:00:00:00:fe", "left")) << "the frontend was removed";
    hops.SetFrontends({frontend});
    EXPECT_EQ(hops.Find(routed), std::nullopt) << "the frontend was added after the backend";
    Ip("route replace 192.0.2.0/24 via 10.0.0.253");
    EXPECT_TRUE(
        RunUntil(&context, [&] { return hops.Find(routed) == Hop("02:00:00:00:00:fd", "left"); }));
    Ip("route replace 192.0.2.0/24 via 10.0.0.254");
    EXPECT_TRUE(RunUntil(&context, [&] { return !hops.Find(routed).has_value(); }))
        << "the route changed after the frontend was added";
  });
}

TEST_F(NextHopsTest, ReportsAVlanInterfaceAsItsParentWithATag) {
  InNamespace([this] {
    MakePair();
    if (std::system("ip link add link left name left.100 type vlan id 100 2>/dev/null") != 0) {
      missing_ = "this kernel has no VLAN interfaces";
      return;
    }
    Ip("link set left.100 up");
    Ip("address add 10.0.1.1/24 dev left.100");
    Ip("neigh add 10.0.1.11 lladdr 02:00:00:00:01:11 dev left.100 nud permanent");
    const IpAddress tagged = *IpAddress::Parse("10.0.1.11");
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    hops.Follow(tagged);
    EXPECT_EQ(hops.Find(tagged), Hop("02:00:00:00:01:11", "left", 100));
  });
}

TEST_F(NextHopsTest, ThereIsNoWayOutWithoutARouteOrACarrier) {
  InNamespace([this] {
    MakePair();
    const IpAddress address = *IpAddress::Parse("10.0.0.11");
    const IpAddress own = *IpAddress::Parse("10.0.0.1");
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    const auto no_carrier = [&](const IpAddress& to) { return hops.FindWayOut(to).no_carrier; };
    EXPECT_TRUE(RunUntil(&context, [&] { return no_carrier(address).empty(); }));
    EXPECT_FALSE(hops.FindWayOut(*IpAddress::Parse("192.0.2.1")).has_route);
    Ip("link set right down");
    EXPECT_TRUE(RunUntil(&context, [&] { return no_carrier(address) == "left"; }));
    EXPECT_TRUE(hops.FindWayOut(address).has_route);
    EXPECT_EQ(hops.FindWayOut(address).device, "left");
    EXPECT_EQ(no_carrier(own), "");
    Ip("link set right up");
    EXPECT_TRUE(RunUntil(&context, [&] { return no_carrier(address).empty(); }));
    if (std::system("ip link add link left name left.100 type vlan id 100 2>/dev/null") != 0) {
      missing_ = "this kernel has no VLAN interfaces";
      return;
    }
    Ip("link set left.100 up");
    Ip("address add 10.0.1.1/24 dev left.100");
    Ip("link set right down");
    const IpAddress tagged = *IpAddress::Parse("10.0.1.11");
    EXPECT_TRUE(RunUntil(&context, [&] { return no_carrier(tagged) == "left.100"; }));
    EXPECT_EQ(hops.FindWayOut(tagged).device, "left");
  });
}

TEST_F(NextHopsTest, FindsAnIpv6Neighbour) {
  InNamespace([] {
    MakePair();
    Ip("address add 2001:db8:a::1/64 dev left nodad");
    Ip("neigh add 2001:db8:a::11 lladdr 02:00:00:00:00:66 dev left nud permanent");
    const IpAddress six = *IpAddress::Parse("2001:db8:a::11");
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    hops.Follow(six);
    EXPECT_EQ(hops.Find(six), Hop("02:00:00:00:00:66", "left"));
  });
}

TEST_F(NextHopsTest, RefusesAnAddressOfThisHost) {
  InNamespace([] {
    MakePair();
    boost::asio::io_context context;
    NextHops hops(context.get_executor(), [] {});
    ASSERT_TRUE(hops.Start().ok());
    const IpAddress own = *IpAddress::Parse("10.0.0.1");
    hops.Follow(own);
    EXPECT_EQ(hops.Find(own), std::nullopt);
    EXPECT_THAT(hops.MissingReason(own), HasSubstr("no unicast route"));
  });
}

}  // namespace
}  // namespace fairlead
