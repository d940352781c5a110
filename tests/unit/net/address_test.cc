#include "lib/net/address.h"

#include <algorithm>
#include <cstdlib>
#include <random>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::HasSubstr;

std::string InQuotes(std::string_view text) {
  std::string quoted = "'";
  quoted += text;
  return quoted += "'";
}

struct Notation {
  const char* text;
  const char* canonical;
};

TEST(IpAddress, FormatsIpv6AsRfc5952Says) {
  const Notation rows[] = {
      {"2001:db8::1", "2001:db8::1"},
      {"2001:0DB8:0000::0001", "2001:db8::1"},           // 4.1 leading zeros, 4.3 lower case
      {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},         // 4.2.1 as much as possible
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // 4.2.2 not for one group
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // 4.2.3 the longest run
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // 4.2.3 the first of equals
      {"0:0:0:0:0:0:0:0", "::"},
      {"0:0:0:0:0:0:0:1", "::1"},
      {"1:0:0:0:0:0:0:0", "1::"},
      {"fe80:0:0:0:1:0:0:0", "fe80::1:0:0:0"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},  // 5 well-known prefix
      {"::ffff:c000:201", "::ffff:192.0.2.1"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const Notation& row : rows) {
    const Result<IpAddress> address = IpAddress::Parse(row.text);
    ASSERT_TRUE(address.ok()) << row.text;
    EXPECT_EQ(address->family(), Family::kIpv6) << row.text;
    EXPECT_EQ(address->ToString(), row.canonical);
  }
}

TEST(IpAddress, FormatsIpv6AsLibcDoes) {
  std::mt19937 random(20240517);
  for (int round = 0; round < 20000; ++round) {
    std::array<uint8_t, 16> bytes;
    const uint32_t zero_groups = static_cast<uint32_t>(random());
    for (size_t i = 0; i < bytes.size(); ++i) {
      const bool zero = ((zero_groups >> (i / 2)) & 1) != 0;
      bytes[i] = zero ? uint8_t{0} : static_cast<uint8_t>(random());
    }
    bytes[0] = 0x20;  // libc writes the deprecated ::a.b.c.d with dots
    char text[INET6_ADDRSTRLEN];
    ASSERT_NE(inet_ntop(AF_INET6, bytes.data(), text, sizeof(text)), nullptr);
    const IpAddress address = IpAddress::FromV6(bytes);
    ASSERT_EQ(address.ToString(), text) << "seed 20240517, round " << round;
    ASSERT_EQ(*IpAddress::Parse(text), address);
  }
}

TEST(IpAddress, KeepsIpv4InTheFirstFourBytes) {
  const Result<IpAddress> address = IpAddress::Parse("203.0.113.10");
  ASSERT_TRUE(address.ok());
  EXPECT_TRUE(address->is_v4());
  EXPECT_EQ(address->wire().size(), 4U);
  EXPECT_EQ(address->bytes(), (std::array<uint8_t, 16>{203, 0, 113, 10}));
  EXPECT_EQ(address->ToString(), "203.0.113.10");
  EXPECT_EQ(IpAddress().ToString(), "0.0.0.0");
}

TEST(IpAddress, RefusesInvalidAddressesAndQuotesThem) {
  for (const std::string_view text : {"",
                                      "10.0.0",
                                      "10.0.0.256",
                                      "10.0.0.1 ",
                                      " 10.0.0.1",
                                      "010.0.0.1",
                                      "10.0.0.1.2",
                                      "0x7f.1",
                                      "1",
                                      "::1::",
                                      ":::",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "12345::",
                                      "g::",
                                      "fe80::1%eth0",
                                      "[::1]",
                                      "10.0.0.1/32",
                                      "::ffff:1.2.3.256",
                                      "localhost"}) {
    const Result<IpAddress> address = IpAddress::Parse(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.status().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(address.status().message(), HasSubstr(InQuotes(text)));
  }
}

TEST(IpAddress, RefusesAnEmbeddedNul) {
  EXPECT_FALSE(IpAddress::Parse(std::string_view("10.0.0.1\0", 9)).ok());
  EXPECT_FALSE(IpAddress::Parse(std::string_view("10.0.0.1\0x", 10)).ok());
}

TEST(IpAddress, MessagesAreBoundedAndPrintable) {
  const std::string hostile = "\x1b[31m\n" + std::string(100000, 'a');
  const std::string message = IpAddress::Parse(hostile).status().message();
  EXPECT_LT(message.size(), 200U);
  for (const char c : message) EXPECT_TRUE(c >= ' ' && c <= '~');
}

TEST(IpAddress, RecognisesAddressesThatCannotBeAClientOrAFrontend) {
  for (const char* text : {"0.0.0.0", "0.255.255.255", "127.0.0.1", "127.255.255.255", "224.0.0.1",
                           "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1",
                           "ff00::", "ff02::1", "ffff::1", "::ffff:0.0.0.0", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(IpAddress::Parse(text)->IsUnusable()) << text;
  }
  for (const char* text : {"1.0.0.0", "10.0.0.1", "126.255.255.255", "128.0.0.1", "169.254.1.1",
                           "223.255.255.255", "::2", "::1:0", "1::", "::fffe:10.0.0.1",
                           "::1:ffff:10.0.0.1", "2001:db8::1", "fe80::1", "fec0::1", "fe00::"}) {
    EXPECT_FALSE(IpAddress::Parse(text)->IsUnusable()) << text;
  }
}

TEST(IpAddress, OrdersByFamilyThenBytes) {
  EXPECT_LT(*IpAddress::Parse("9.0.0.0"), *IpAddress::Parse("10.0.0.0"));
  EXPECT_LT(*IpAddress::Parse("255.255.255.255"), *IpAddress::Parse("::"));
  EXPECT_NE(*IpAddress::Parse("0.0.0.0"), *IpAddress::Parse("::"));
}

TEST(Protocol, ReadsBothNamesInAnyCase) {
  EXPECT_EQ(*ParseProtocol("tcp"), Protocol::kTcp);
  EXPECT_EQ(*ParseProtocol("UDP"), Protocol::kUdp);
  EXPECT_EQ(ProtocolName(Protocol::kTcp), "tcp");
  EXPECT_EQ(ProtocolName(Protocol::kUdp), "udp");
  for (const char* text : {"", "sctp", "tc", "tcpp", "6"}) {
    EXPECT_THAT(ParseProtocol(text).status().message(), HasSubstr(InQuotes(text)));
  }
}

TEST(MacAddress, ReadsAndWrites) {
  const Result<MacAddress> mac = MacAddress::Parse("02:AB:00:00:0f:ff");
  ASSERT_TRUE(mac.ok());
  EXPECT_EQ(mac->bytes, (std::array<uint8_t, 6>{0x02, 0xab, 0, 0, 0x0f, 0xff}));
  EXPECT_EQ(mac->ToString(), "02:ab:00:00:0f:ff");
}

TEST(MacAddress, RecognisesGroupAndZeroAddresses) {
  EXPECT_TRUE(MacAddress::Parse("ff:ff:ff:ff:ff:ff")->is_group());
  EXPECT_TRUE(MacAddress::Parse("01:00:5e:00:00:01")->is_group());
  EXPECT_FALSE(MacAddress::Parse("02:00:00:00:00:01")->is_group());
  EXPECT_TRUE(MacAddress::Parse("00:00:00:00:00:00")->is_zero());
  EXPECT_FALSE(MacAddress::Parse("00:00:00:00:00:01")->is_zero());
}

TEST(MacAddress, RefusesOtherNotations) {
  for (const std::string text : {"", "02:00:00:00:00", "02:00:00:00:00:01:02", "02-00-00-00-00-01",
                                 "2:0:0:0:0:1", "02:00:00:00:00:0g", "02:00:00:00:00:1 ",
                                 "+2:00:00:00:00:01", "0200:00:00:00:001", "02:00:00:00:00:0"}) {
    const Result<MacAddress> mac = MacAddress::Parse(text);
    ASSERT_FALSE(mac.ok()) << text;
    EXPECT_THAT(mac.status().message(), HasSubstr(InQuotes(text)));
  }
}

TEST(Prefix, ReadsAndWrites) {
  for (const char* text : {"192.0.2.128/25", "10.0.0.0/8", "0.0.0.0/0", "2001:db8:f:1::/64",
                           "2001:db8::1/128", "192.0.2.1/32"}) {
    const Result<Prefix> prefix = Prefix::Parse(text);
    ASSERT_TRUE(prefix.ok()) << prefix.status().message();
    EXPECT_EQ(prefix->ToString(), text);
  }
}

TEST(Prefix, RefusesBadInputAndSaysWhy) {
  const struct {
    const char* text;
    const char* why;
  } rows[] = {{"192.0.2.0", "is not ADDRESS/LENGTH"},
              {"192.0.2.0/", "is not ADDRESS/LENGTH"},
              {"192.0.2.0/x", "is not ADDRESS/LENGTH"},
              {"192.0.2.0/-1", "is not ADDRESS/LENGTH"},
              {"192.0.2.0/300", "is not ADDRESS"},
              {"192.0.2.0/33", "is longer than 32"},
              {"2001:db8::/129", "is longer than 128"},
              {"192.0.2.1/24", "has bits after"},
              {"2001:db8::1/64", "has bits after"},
              {"web/24", "is neither IPv4"},
              {"", "is not ADDRESS/LENGTH"}};
  for (const auto& row : rows) {
    const Result<Prefix> prefix = Prefix::Parse(row.text);
    ASSERT_FALSE(prefix.ok()) << row.text;
    EXPECT_NE(prefix.status().message().find(row.why), std::string::npos)
        << prefix.status().message();
  }
}

TEST(Endpoint, ReadsEveryNotation) {
  const struct {
    const char* text;
    const char* address;
    uint16_t port;
    const char* canonical;
  } rows[] = {
      {"10.0.0.11", "10.0.0.11", 0, "10.0.0.11"},
      {"10.0.0.11:8080", "10.0.0.11", 8080, "10.0.0.11:8080"},
      {"10.0.0.11:0", "10.0.0.11", 0, "10.0.0.11"},
      {"10.0.0.11:65535", "10.0.0.11", 65535, "10.0.0.11:65535"},
      {"2001:db8::11", "2001:db8::11", 0, "2001:db8::11"},
      {"[2001:db8::11]", "2001:db8::11", 0, "2001:db8::11"},
      {"[2001:DB8::11]:443", "2001:db8::11", 443, "[2001:db8::11]:443"},
  };
  for (const auto& row : rows) {
    const Result<Endpoint> endpoint = Endpoint::Parse(row.text);
    ASSERT_TRUE(endpoint.ok()) << row.text;
    EXPECT_EQ(endpoint->address, *IpAddress::Parse(row.address));
    EXPECT_EQ(endpoint->port, row.port);
    EXPECT_EQ(endpoint->ToString(), row.canonical);
    EXPECT_EQ(*Endpoint::Parse(endpoint->ToString()), *endpoint);
  }
}

TEST(Endpoint, RefusesBadInputAndNamesTheValue) {
  const struct {
    const char* text;
    const char* named;
  } rows[] = {
      {"", "''"},
      {":80", "''"},
      {"10.0.0.11:", "port '' in '10.0.0.11:'"},
      {"10.0.0.11:65536", "port '65536' in '10.0.0.11:65536'"},
      {"10.0.0.11:-1", "'-1'"},
      {"10.0.0.11:+1", "'+1'"},
      {"10.0.0.11: 80", "' 80'"},
      {"10.0.0.11:080", "'080'"},
      {"10.0.0.11:80x", "'80x'"},
      {"10.0.0.11:99999999999999999999", "'99999999999999999999'"},
      {"10.0.0.300:80", "'10.0.0.300'"},
      {"[2001:db8::11", "'[2001:db8::11'"},
      {"[2001:db8::11]80", "'[2001:db8::11]80'"},
      {"[2001:db8::11]:", "port ''"},
      {"[10.0.0.11]:80", "brackets are for IPv6"},
      {"[]:80", "''"},
      {"backend.example:80", "'backend.example'"},
  };
  for (const auto& row : rows) {
    const Result<Endpoint> endpoint = Endpoint::Parse(row.text);
    ASSERT_FALSE(endpoint.ok()) << row.text;
    EXPECT_EQ(endpoint.status().code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(endpoint.status().message(), HasSubstr(row.named));
  }
}

TEST(Frontend, ReadsAndWrites) {
  const struct {
    const char* text;
    const char* canonical;
  } rows[] = {
      {"203.0.113.10:80/tcp", "203.0.113.10:80/tcp"},
      {"203.0.113.10:0/UDP", "203.0.113.10:0/udp"},
      {"[2001:db8::10]:443/udp", "[2001:db8::10]:443/udp"},
      {"203.0.113.10:8000-8999/tcp", "203.0.113.10:8000-8999/tcp"},
      {"[2001:db8::10]:1-65535/udp", "[2001:db8::10]:1-65535/udp"},
  };
  for (const auto& row : rows) {
    const Result<Frontend> frontend = Frontend::Parse(row.text);
    ASSERT_TRUE(frontend.ok()) << row.text;
    EXPECT_EQ(frontend->ToString(), row.canonical);
    EXPECT_EQ(*Frontend::Parse(frontend->ToString()), *frontend);
  }
  EXPECT_EQ(Frontend::Parse("203.0.113.10:80/udp")->protocol, Protocol::kUdp);
  EXPECT_EQ(Frontend::Parse("203.0.113.10:80/udp")->port, 80);
}

TEST(Frontend, HasOnlyItsPorts) {
  const Frontend one = Frontend::Parse("203.0.113.10:80/tcp").value();
  EXPECT_TRUE(one.HasPort(80));
  EXPECT_FALSE(one.HasPort(79));
  EXPECT_FALSE(one.HasPort(81));
  const Frontend range = Frontend::Parse("203.0.113.10:80-90/tcp").value();
  EXPECT_TRUE(range.is_range());
  for (const uint16_t port : std::initializer_list<uint16_t>{80, 85, 90})
    EXPECT_TRUE(range.HasPort(port));
  for (const uint16_t port : std::initializer_list<uint16_t>{79, 91, 65535})
    EXPECT_FALSE(range.HasPort(port));
  const Frontend any = Frontend::Parse("203.0.113.10:0/tcp").value();
  EXPECT_TRUE(any.is_any_port());
  EXPECT_FALSE(any.is_range());
  for (const uint16_t port : std::initializer_list<uint16_t>{1, 80, 65535})
    EXPECT_TRUE(any.HasPort(port));
}

TEST(Frontend, RefusesBadInputAndSaysWhatToWrite) {
  const struct {
    const char* text;
    const char* named;
  } rows[] = {
      {"", "frontend '' has no protocol"},
      {"203.0.113.10:80", "frontend '203.0.113.10:80' has no protocol"},
      {"203.0.113.10:80/", "protocol ''"},
      {"203.0.113.10:80/sctp", "protocol 'sctp'"},
      {"203.0.113.10/tcp", "frontend '203.0.113.10/tcp' has no port"},
      {"2001:db8::10/tcp", "frontend '2001:db8::10/tcp' has no port"},
      {"[2001:db8::10]/tcp", "has no port"},
      {"203.0.113.10:http/tcp", "port 'http'"},
      {"203.0.113.10:70000/tcp", "port '70000'"},
      {"/tcp", "''"},
      {"203.0.113.10:90-80/tcp", "ports '90-80' in '203.0.113.10:90-80' are not a range"},
      {"203.0.113.10:80-80/tcp", "ports '80-80'"},
      {"203.0.113.10:0-80/tcp", "ports '0-80'"},
      {"203.0.113.10:0-0/tcp", "ports '0-0'"},
      {"203.0.113.10:80-/tcp", "port ''"},
      {"203.0.113.10:-80/tcp", "port ''"},
      {"203.0.113.10:80-90-99/tcp", "port '90-99'"},
      {"203.0.113.10:80-65536/tcp", "port '65536'"},
  };
  for (const auto& row : rows) {
    const Result<Frontend> frontend = Frontend::Parse(row.text);
    ASSERT_FALSE(frontend.ok()) << row.text;
    EXPECT_THAT(frontend.status().message(), HasSubstr(row.named));
  }
}

}  // namespace
}  // namespace fairlead
