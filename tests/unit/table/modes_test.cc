// What the modes add to the tables: tunnels, nat's replies, next hops to clients. Also what they
// require of the ports.
#include <gmock/gmock.h>

#include "tests/unit/table/tables.h"

namespace fairlead {
namespace {

using ::testing::HasSubstr;
using testing::MakeBackend;
using testing::MakeService;
using testing::TablesFixture;

class ModeTablesTest : public TablesFixture {
 protected:
  static SnapshotInput One(ForwardingMode mode, const std::string& frontend,
                           const std::string& backend) {
    SnapshotInput input{.generation = 1, .hash_seed = 7, .services = {}};
    input.services = {MakeService(1, "web", frontend, {MakeBackend(1, backend)})};
    input.services[0].mode = mode;
    if (mode == ForwardingMode::kGue) input.services[0].gue_port = 6080;
    return input;
  }
  static SnapshotNextHop Hop(const std::string& interface) {
    return {MacAddress::Parse("02:00:00:00:00:0b").value(), 0, interface};
  }

  std::string Refusal(const SnapshotInput& input) {
    const auto built = Build(input);
    if (built.ok()) return "(accepted)";
    EXPECT_EQ(built.status().code(), ErrorCode::kInvalidArgument);
    return built.status().message();
  }

  // Publishes `input` and says why backend `index` is left out; "(in use)" when it is not.
  std::string LeftOutText(const SnapshotInput& input, uint32_t index = 0) {
    const SnapshotImage image = BuildSnapshot(input).value();
    const SnapshotView view(image.bytes());
    Publish(input);
    const BackendEntry& backend = tables_->backends()[index];
    if (backend.left_out == LeftOut::kNo) return "(in use)";
    EXPECT_NE(backend.state, BackendState::kActive);
    EXPECT_FALSE(backend.has_next_hop);
    EXPECT_EQ(Slots(backend), 0u);
    return DescribeLeftOut(backend.left_out, {view, view.services()[backend.service_index],
                                              view.backends()[index], backend.egress_port, ports_});
  }
  // How many slots of its service the backend owns.
  uint32_t Slots(const BackendEntry& backend) const {
    const ServiceEntry& service = tables_->services()[backend.service_index];
    const uint16_t local = tables_->LocalIndexOf(service, &backend);
    uint32_t count = 0;
    for (uint32_t i = 0; i < service.slot_count; ++i) {
      count += service.slot_table->Load(i).current == local ? 1 : 0;
    }
    return count;
  }

  static FlowKey From(const std::string& address, uint16_t port, uint8_t protocol = 6) {
    const IpAddress source = IpAddress::Parse(address).value();
    const IpAddress client =
        IpAddress::Parse(source.is_v4() ? "198.51.100.7" : "2001:db8:1::7").value();
    return FlowKey::Make(source, port, client, 40000, protocol);
  }
  // The frontend of a reply from this address and port; "" if it is no reply.
  std::string FrontendOf(const std::string& address, uint16_t port, uint8_t protocol = 6) const {
    const NatRow* row = tables_->nat().FindSource(From(address, port, protocol));
    if (row == nullptr) return "";
    const bool v4 = From(address, port).family() == Family::kIpv4;
    const auto& bytes = row->frontend.address;
    const IpAddress frontend = v4 ? IpAddress::FromV4(std::span<const uint8_t, 4>(bytes.data(), 4))
                                  : IpAddress::FromV6(bytes);
    return Endpoint{frontend, row->frontend.port}.ToString();
  }
};

TEST_F(ModeTablesTest, GivesEachBackendATunnelFromItsEgressPortsAddress) {
  SnapshotInput input = One(ForwardingMode::kGue, "203.0.113.10:80/tcp", "10.0.0.11");
  input.services[0].backends.push_back(MakeBackend(2, "2001:db8:a::12"));
  input.services[0].backends[0].next_hop = Hop("lan");
  input.services[0].backends[1].next_hop = Hop("");
  Publish(input);
  const TunnelTemplate& lan = tables_->tunnel(0);
  EXPECT_EQ(lan.overhead_bytes, 32);
  EXPECT_EQ(std::vector<uint8_t>(lan.header + 12, lan.header + 20),
            (std::vector<uint8_t>{10, 0, 0, 254, 10, 0, 0, 11}));
  const TunnelTemplate& any = tables_->tunnel(1);  // no interface: the first port's address
  EXPECT_EQ(any.overhead_bytes, 52);
  EXPECT_EQ(std::vector<uint8_t>(any.header + 8, any.header + 24),
            (std::vector<uint8_t>{0x20, 1, 0xd, 0xb8, 0, 0xf, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
}

TEST_F(ModeTablesTest, LeavesOutATunnelBackendWithoutASourceAddress) {
  ports_[1].addresses = {Address("2001:db8:a::fe")};
  SnapshotInput input = One(ForwardingMode::kIpip, "203.0.113.10:80/tcp", "10.0.0.11");
  input.services[0].backends[0].next_hop = Hop("lan");
  EXPECT_THAT(
      LeftOutText(input),
      HasSubstr("service web: backend 10.0.0.11: port lan has no IPv4 address for the tunnel"));
  ports_[1].ipip_sources = {Prefix::Parse("10.9.0.0/16").value()};
  EXPECT_EQ(LeftOutText(input), "(in use)");
  input = One(ForwardingMode::kGue, "203.0.113.10:80/tcp", "10.0.0.11");
  ports_[0].addresses.clear();
  EXPECT_THAT(LeftOutText(input), HasSubstr("no port has an IPv4 address for the tunnel"));
}

TEST_F(ModeTablesTest, LeavesOutBackendsWhoseMtuIsTooSmallForIpv6Clients) {
  const struct {
    ForwardingMode mode;
    const char* backend;
    uint16_t least;
  } rows[] = {{ForwardingMode::kDsr, "10.0.0.11", 1280},
              {ForwardingMode::kIpip, "10.0.0.11", 1300},
              {ForwardingMode::kIpip, "2001:db8:a::11", 1320},
              {ForwardingMode::kGue, "10.0.0.11", 1312},
              {ForwardingMode::kGue, "2001:db8:a::11", 1332}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.least);
    SnapshotInput input = One(row.mode, "[2001:db8::10]:80/tcp", row.backend);
    input.services[0].backends[0].next_hop = Hop("lan");
    ports_[1].mtu = row.least;
    EXPECT_EQ(LeftOutText(input), "(in use)");
    ports_[1].mtu = static_cast<uint16_t>(row.least - 1);
    EXPECT_THAT(LeftOutText(input), HasSubstr("port lan: mtu " + std::to_string(row.least - 1)));
    // IPv4 clients may get a smaller MTU.
    input.services[0].frontends = {Frontend::Parse("203.0.113.10:80/tcp").value()};
    EXPECT_EQ(LeftOutText(input), "(in use)");
  }
}

TEST_F(ModeTablesTest, FindsTheFrontendOfANatBackendsReply) {
  SnapshotInput input = One(ForwardingMode::kNat, "203.0.113.10:80/tcp", "10.0.0.11:8080");
  input.services[0].backends.push_back(MakeBackend(2, "10.0.0.12"));
  input.services.push_back(
      MakeService(2, "any", "203.0.113.11:0/udp", {MakeBackend(3, "10.0.0.11")}));
  input.services.push_back(
      MakeService(3, "six", "[2001:db8::10]:443/tcp", {MakeBackend(4, "2001:db8:a::11")}));
  input.services.push_back(
      MakeService(4, "dsr", "203.0.113.12:80/tcp", {MakeBackend(5, "10.0.0.15")}));
  for (size_t i = 0; i < 3; ++i) input.services[i].mode = ForwardingMode::kNat;
  Publish(input);
  EXPECT_EQ(FrontendOf("10.0.0.11", 8080), "203.0.113.10:80");
  EXPECT_EQ(FrontendOf("10.0.0.11", 80), "");
  EXPECT_EQ(FrontendOf("10.0.0.12", 80), "203.0.113.10:80");
  EXPECT_EQ(FrontendOf("10.0.0.12", 8080), "");
  EXPECT_EQ(FrontendOf("10.0.0.11", 4711, 17), "203.0.113.11");  // the port stays
  EXPECT_EQ(FrontendOf("10.0.0.12", 4711, 17), "");
  EXPECT_EQ(FrontendOf("2001:db8:a::11", 443), "[2001:db8::10]:443");
  EXPECT_EQ(FrontendOf("10.0.0.15", 80), "");
  EXPECT_TRUE(tables_->nat().HasSource(From("10.0.0.11", 1)));
  EXPECT_FALSE(tables_->nat().HasSource(From("10.0.0.15", 80)));
  EXPECT_NE(tables_->nat().FindSource(From("10.0.0.11", 0), 6, 8080), nullptr);
  const NatRow* row = tables_->nat().FindSource(From("10.0.0.12", 80));
  EXPECT_EQ(tables_->backends()[row->backend_index].id, 2u);
  EXPECT_EQ(tables_->services()[row->service_index].name, "web");
}

TEST_F(ModeTablesTest, FindsTheFrontendOfAReplyFromARange) {
  SnapshotInput input = One(ForwardingMode::kNat, "203.0.113.10:8000-8999/tcp", "10.0.0.11");
  input.services.push_back(
      MakeService(2, "other", "203.0.113.11:9000-9999/tcp", {MakeBackend(2, "10.0.0.11")}));
  input.services.push_back(
      MakeService(3, "exact", "203.0.113.12:80/tcp", {MakeBackend(3, "10.0.0.11")}));
  input.services.push_back(
      MakeService(4, "inner", "203.0.113.10:8100-8199/tcp", {MakeBackend(4, "10.0.0.11")}));
  for (SnapshotService& service : input.services) service.mode = ForwardingMode::kNat;
  Publish(input);
  for (const uint16_t port : std::initializer_list<uint16_t>{8000, 8500, 8999}) {
    EXPECT_EQ(FrontendOf("10.0.0.11", port), "203.0.113.10") << port;  // the port stays
  }
  EXPECT_EQ(FrontendOf("10.0.0.11", 9000), "203.0.113.11");
  EXPECT_EQ(FrontendOf("10.0.0.11", 9999), "203.0.113.11");
  EXPECT_EQ(FrontendOf("10.0.0.11", 80), "203.0.113.12:80");
  for (const uint16_t port : std::initializer_list<uint16_t>{1, 81, 7999, 10000})
    EXPECT_EQ(FrontendOf("10.0.0.11", port), "");
  EXPECT_EQ(FrontendOf("10.0.0.11", 8500, 17), "");
  const NatRow* row = tables_->nat().FindSource(From("10.0.0.11", 8150));
  EXPECT_EQ(tables_->services()[row->service_index].name, "inner");
}

TEST_F(ModeTablesTest, RefusesRepliesThatTwoRangesCouldClaim) {
  SnapshotInput input = One(ForwardingMode::kNat, "203.0.113.10:8000-8999/tcp", "10.0.0.11");
  input.services.push_back(
      MakeService(2, "other", "203.0.113.11:8999-9999/tcp", {MakeBackend(2, "10.0.0.11")}));
  input.services[1].mode = ForwardingMode::kNat;
  EXPECT_THAT(Refusal(input), HasSubstr("replies from 10.0.0.11:8999/tcp would belong to frontend "
                                        "203.0.113.11:8999-9999/tcp as well as to "
                                        "203.0.113.10:8000-8999/tcp"));
  input.services[1].frontends = {Frontend::Parse("203.0.113.11:8999/tcp").value()};
  EXPECT_THAT(Refusal(input), HasSubstr("replies from 10.0.0.11:8999/tcp would belong to"));
  input.services[1].frontends = {Frontend::Parse("203.0.113.11:9000/tcp").value()};
  EXPECT_EQ(Refusal(input), "(accepted)");
}

TEST_F(ModeTablesTest, RefusesRepliesThatTwoFrontendsCouldClaim) {
  SnapshotInput input = One(ForwardingMode::kNat, "203.0.113.10:80/tcp", "10.0.0.11:8080");
  input.services[0].frontends.push_back(Frontend::Parse("203.0.113.10:443/tcp").value());
  EXPECT_THAT(Refusal(input), HasSubstr("replies from 10.0.0.11:8080/tcp would belong to frontend "
                                        "203.0.113.10:80/tcp as well"));
  input = One(ForwardingMode::kNat, "203.0.113.10:0/tcp", "10.0.0.11");
  input.services.push_back(
      MakeService(2, "other", "203.0.113.11:80/tcp", {MakeBackend(2, "10.0.0.11")}));
  input.services[1].mode = ForwardingMode::kNat;
  EXPECT_THAT(Refusal(input), HasSubstr("replies from 10.0.0.11:80/tcp would belong to"));
  // Same address and same port: both frontends translate the reply alike.
  input.services[1].frontends = {Frontend::Parse("203.0.113.10:80/tcp").value()};
  EXPECT_EQ(Refusal(input), "(accepted)");
  input = One(ForwardingMode::kNat, "203.0.113.10:0/tcp", "10.0.0.11:8080");
  EXPECT_THAT(Refusal(input), HasSubstr("a frontend of any port or of a range of ports needs "
                                        "backends without a port"));
  input = One(ForwardingMode::kNat, "203.0.113.10:80/tcp", "2001:db8:a::11");
  EXPECT_THAT(Refusal(input), HasSubstr("nat does not translate between families"));
}

TEST_F(ModeTablesTest, LeavesOutNatBackendsIfTheBalancerHasNoAddress) {
  for (EgressPort& port : ports_) port.addresses = {Address("2001:db8:f::1")};
  EXPECT_THAT(
      LeftOutText(One(ForwardingMode::kNat, "203.0.113.10:80/tcp", "10.0.0.11")),
      HasSubstr("service web: backend 10.0.0.11: nat needs an own IPv4 address of the balancer"));
  EXPECT_EQ(FrontendOf("10.0.0.11", 80), "");  // and translates nothing
  EXPECT_EQ(LeftOutText(One(ForwardingMode::kNat, "[2001:db8::10]:80/tcp", "2001:db8:a::11")),
            "(in use)");
  EXPECT_EQ(FrontendOf("2001:db8:a::11", 80), "[2001:db8::10]:80");
}

TEST_F(ModeTablesTest, LeavesOutABackendBehindAnInterfaceThatIsNoPort) {
  SnapshotInput input = One(ForwardingMode::kDsr, "203.0.113.10:80/tcp", "10.0.0.11");
  input.services[0].backends[0].next_hop = Hop("lan");
  input.services[0].backends.push_back(MakeBackend(2, "10.0.0.12"));
  input.services[0].backends[1].next_hop = Hop("mgmt0");
  EXPECT_THAT(
      LeftOutText(input, 1),
      HasSubstr("service web: backend 10.0.0.12: next hop's interface 'mgmt0' is not a port"));
  EXPECT_EQ(stats_.backends_left_out, 1u);
  EXPECT_EQ(Slots(tables_->backends()[0]), 251u);  // the other backend owns all slots
  // When the route comes back it is in use again.
  input.services[0].backends[1].next_hop = Hop("lan");
  EXPECT_EQ(LeftOutText(input, 1), "(in use)");
  EXPECT_EQ(stats_.backends_left_out, 0u);
  EXPECT_GT(Slots(tables_->backends()[1]), 100u);
}

// A down or draining backend keeps its state. An active one becomes draining, so that it gets no
// new flows.
TEST_F(ModeTablesTest, LeavesTheStateOfALeftOutBackendAsItIs) {
  SnapshotInput input = One(ForwardingMode::kDsr, "203.0.113.10:80/tcp", "10.0.0.11");
  input.services[0].backends[0].next_hop = Hop("mgmt0");
  for (const auto& [asked, got] : {std::pair{BackendState::kActive, BackendState::kDraining},
                                   std::pair{BackendState::kDraining, BackendState::kDraining},
                                   std::pair{BackendState::kDown, BackendState::kDown}}) {
    input.services[0].backends[0].state = asked;
    Publish(input);
    EXPECT_EQ(tables_->backends()[0].left_out, LeftOut::k_interface_no_port);
    EXPECT_EQ(tables_->backends()[0].state, got);
  }
}

TEST_F(ModeTablesTest, TakesTheNextHopToClientsFromTheSnapshotUnlessAPortHasAGateway) {
  SnapshotInput input = One(ForwardingMode::kDsr, "203.0.113.10:80/tcp", "10.0.0.11");
  Publish(input);
  EXPECT_FALSE(tables_->client_hop(Family::kIpv4).known);
  input.client_next_hop_v6 = Hop("lan");
  input.client_next_hop_v6->vlan = 5;
  Publish(input);
  EXPECT_FALSE(tables_->client_hop(Family::kIpv4).known);
  const ClientHop& six = tables_->client_hop(Family::kIpv6);
  EXPECT_TRUE(six.known);
  EXPECT_EQ(six.egress_port, 1);
  EXPECT_EQ(six.vlan, 5);
  ports_[0].gateway = MacAddress::Parse("02:00:00:00:00:fe").value();
  Publish(input);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const ClientHop& hop = tables_->client_hop(family);
    EXPECT_EQ(hop.egress_port, 0);
    EXPECT_EQ(hop.vlan, 0);
    EXPECT_EQ(hop.destination_mac[5], 0xfe);
  }
  ports_[0].gateway.reset();
  input.client_next_hop_v6 = Hop("eth9");
  Publish(input);
  EXPECT_FALSE(tables_->client_hop(Family::kIpv6).known);
}

}  // namespace
}  // namespace fairlead
