#include "lib/table/frontend_table.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "lib/net/address.h"

namespace fairlead {
namespace {

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;

IpAddress Address(const std::string& text) { return IpAddress::Parse(text).value(); }

FrontendRecord MakeRecord(const std::string& text, uint32_t service_index) {
  const Frontend frontend = Frontend::Parse(text).value();
  FrontendRecord record{};
  std::copy(frontend.address.bytes().begin(), frontend.address.bytes().end(), record.address);
  record.family = static_cast<uint8_t>(frontend.address.family());
  record.protocol = static_cast<uint8_t>(frontend.protocol);
  record.port = frontend.port;
  record.last_port = frontend.last_port;
  record.service_index = static_cast<uint16_t>(service_index);
  return record;
}

// Looks up by address and by key. Both must agree.
uint32_t Find(const FrontendTable& table, const IpAddress& address, uint8_t protocol,
              uint16_t port) {
  const uint32_t found = table.Find(address.bytes().data(), address.family(), protocol, port);
  const IpAddress client = address.is_v4() ? Address("198.51.100.7") : Address("2001:db8:9::7");
  const FlowKey key = FlowKey::Make(client, 40000, address, port, protocol);
  EXPECT_EQ(table.FindDestination(key), found);
  EXPECT_EQ(table.HasDestination(key), table.HasAddress(address.bytes().data(), address.family()));
  return found;
}

bool HasSource(const FrontendTable& table, const IpAddress& source) {
  const IpAddress other = source.is_v4() ? Address("198.51.100.7") : Address("2001:db8:9::7");
  return table.HasSource(FlowKey::Make(source, 1, other, 2, kTcp));
}

TEST(FrontendTable, FindsNothingWhenEmpty) {
  const FrontendTable table({});
  EXPECT_EQ(Find(table, Address("203.0.113.10"), kTcp, 80), kNoService);
  EXPECT_EQ(Find(table, Address("2001:db8::10"), kTcp, 80), kNoService);
  EXPECT_FALSE(HasSource(table, Address("203.0.113.10")));
}

TEST(FrontendTable, DistinguishesAddressProtocolAndPort) {
  const std::vector<FrontendRecord> records = {
      MakeRecord("203.0.113.10:80/tcp", 1), MakeRecord("203.0.113.10:80/udp", 2),
      MakeRecord("203.0.113.10:81/tcp", 3), MakeRecord("203.0.113.11:80/tcp", 4)};
  const FrontendTable table(records);
  EXPECT_EQ(Find(table, Address("203.0.113.10"), kTcp, 80), 1U);
  EXPECT_EQ(Find(table, Address("203.0.113.10"), kUdp, 80), 2U);
  EXPECT_EQ(Find(table, Address("203.0.113.10"), kTcp, 81), 3U);
  EXPECT_EQ(Find(table, Address("203.0.113.11"), kTcp, 80), 4U);
  EXPECT_EQ(Find(table, Address("203.0.113.11"), kUdp, 80), kNoService);
  EXPECT_EQ(Find(table, Address("203.0.113.12"), kTcp, 80), kNoService);
  EXPECT_EQ(Find(table, Address("203.0.113.10"), 1, 80), kNoService);
}

// 0x5000 is 80 with its bytes swapped.
TEST(FrontendTable, DoesNotSwapTheBytesOfPorts) {
  const std::vector<FrontendRecord> records = {MakeRecord("203.0.113.10:80/tcp", 1)};
  EXPECT_EQ(Find(FrontendTable(records), Address("203.0.113.10"), kTcp, 0x5000), kNoService);
}

TEST(FrontendTable, DistinguishesFamiliesWithEqualBytes) {
  const std::vector<FrontendRecord> records = {MakeRecord("[2001:db8::]:80/tcp", 1)};
  const FrontendTable table(records);
  EXPECT_EQ(Find(table, Address("2001:db8::"), kTcp, 80), 1U);
  EXPECT_EQ(Find(table, Address("32.1.13.184"), kTcp, 80), kNoService);  // 0x20010db8
  EXPECT_FALSE(HasSource(table, Address("32.1.13.184")));
}

TEST(FrontendTable, ComparesAll16BytesOfIpv6) {
  const std::vector<FrontendRecord> records = {MakeRecord("[2001:db8::10]:80/tcp", 1)};
  const FrontendTable table(records);
  for (size_t i = 0; i < 16; ++i) {
    auto bytes = Address("2001:db8::10").bytes();
    bytes[i] ^= 1;
    EXPECT_EQ(Find(table, IpAddress::FromV6(bytes), kTcp, 80), kNoService) << "byte " << i;
    EXPECT_FALSE(HasSource(table, IpAddress::FromV6(bytes))) << "byte " << i;
  }
}

TEST(FrontendTable, PrefersTheExactPortToAnyPort) {
  const std::vector<FrontendRecord> records = {MakeRecord("203.0.113.10:0/tcp", 1),
                                               MakeRecord("203.0.113.10:80/tcp", 2)};
  const FrontendTable table(records);
  EXPECT_EQ(Find(table, Address("203.0.113.10"), kTcp, 80), 2U);
  EXPECT_EQ(Find(table, Address("203.0.113.10"), kTcp, 81), 1U);
  EXPECT_EQ(Find(table, Address("203.0.113.10"), kTcp, 65535), 1U);
  EXPECT_EQ(Find(table, Address("203.0.113.10"), kUdp, 80), kNoService);
}

TEST(FrontendTable, PrefersTheExactPortThenTheNarrowestRangeThenAnyPort) {
  const std::vector<FrontendRecord> records = {
      MakeRecord("203.0.113.10:0/tcp", 1),         MakeRecord("203.0.113.10:8000-8999/tcp", 2),
      MakeRecord("203.0.113.10:8100-8199/tcp", 3), MakeRecord("203.0.113.10:8150/tcp", 4),
      MakeRecord("203.0.113.10:8000-8999/udp", 5), MakeRecord("[2001:db8::10]:80-81/tcp", 6)};
  const FrontendTable table(records);
  const auto find = [&](uint8_t protocol, uint16_t port) {
    return Find(table, Address("203.0.113.10"), protocol, port);
  };
  for (const uint16_t port : std::initializer_list<uint16_t>{1, 7999, 9000, 65535})
    EXPECT_EQ(find(kTcp, port), 1U) << port;
  for (const uint16_t port : std::initializer_list<uint16_t>{8000, 8099, 8200, 8999})
    EXPECT_EQ(find(kTcp, port), 2U) << port;
  for (const uint16_t port : std::initializer_list<uint16_t>{8100, 8149, 8151, 8199})
    EXPECT_EQ(find(kTcp, port), 3U) << port;
  EXPECT_EQ(find(kTcp, 8150), 4U);
  EXPECT_EQ(find(kUdp, 8150), 5U);
  EXPECT_EQ(find(kUdp, 7999), kNoService);
  EXPECT_EQ(find(kTcp, 0), kNoService);
  EXPECT_EQ(Find(table, Address("2001:db8::10"), kTcp, 81), 6U);
  EXPECT_EQ(Find(table, Address("2001:db8::10"), kTcp, 82), kNoService);
  EXPECT_EQ(Find(table, Address("203.0.113.11"), kTcp, 8150), kNoService);
  EXPECT_TRUE(HasSource(table, Address("2001:db8::10")));
}

TEST(FrontendTable, HasNoServiceForPortZero) {
  const std::vector<FrontendRecord> records = {MakeRecord("203.0.113.10:0/tcp", 1)};
  EXPECT_EQ(Find(FrontendTable(records), Address("203.0.113.10"), kTcp, 0), kNoService);
}

TEST(FrontendTable, KnowsItsAddressesOfEveryProtocol) {
  const std::vector<FrontendRecord> records = {MakeRecord("203.0.113.10:53/udp", 1),
                                               MakeRecord("[2001:db8::10]:0/tcp", 1)};
  const FrontendTable table(records);
  EXPECT_TRUE(HasSource(table, Address("203.0.113.10")));
  EXPECT_TRUE(HasSource(table, Address("2001:db8::10")));
  EXPECT_FALSE(HasSource(table, Address("203.0.113.11")));
  EXPECT_EQ(Find(table, Address("203.0.113.10"), kTcp, 53), kNoService);
}

// Few addresses, protocols and ports, so that they collide in every combination.
TEST(FrontendTable, AgreesWithAPlainMapOnRandomFrontends) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto random_address = [&] {
      const std::string last = std::to_string(random() % 6 + 1);
      return random() % 2 == 0 ? Address("10.0.0." + last) : Address("2001:db8::" + last);
    };
    std::map<std::tuple<IpAddress, uint8_t, uint16_t>, uint32_t> model;
    const auto pick_protocol = [&] { return random() % 2 == 0 ? kTcp : kUdp; };
    for (uint32_t i = 0; i < seed * 5; ++i) {
      model[{random_address(), pick_protocol(), static_cast<uint16_t>(random() % 4)}] = i;
    }
    std::vector<FrontendRecord> records;
    for (const auto& [where, service] : model) {
      FrontendRecord record{};
      const IpAddress& address = std::get<0>(where);
      std::copy(address.bytes().begin(), address.bytes().end(), record.address);
      record.family = static_cast<uint8_t>(address.family());
      record.protocol = std::get<1>(where);
      record.port = std::get<2>(where);
      record.service_index = static_cast<uint16_t>(service);
      records.push_back(record);
    }
    const FrontendTable table(records);
    for (int i = 0; i < 500; ++i) {
      const IpAddress address = random_address();
      const uint8_t protocol = pick_protocol();
      const auto port = static_cast<uint16_t>(random() % 5);
      uint32_t expected = kNoService;
      if (const auto any = model.find({address, protocol, 0}); any != model.end() && port != 0) {
        expected = any->second;
      }
      if (const auto exact = model.find({address, protocol, port});
          exact != model.end() && port != 0) {
        expected = exact->second;
      }
      ASSERT_EQ(Find(table, address, protocol, port), expected)
          << address.ToString() << " " << int{protocol} << " " << port;
      const bool known = std::any_of(model.begin(), model.end(), [&](const auto& entry) {
        return std::get<0>(entry.first) == address;
      });
      ASSERT_EQ(HasSource(table, address), known);
    }
  }
}

}  // namespace
}  // namespace fairlead
