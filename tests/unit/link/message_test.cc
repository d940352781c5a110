#include "lib/link/message.h"

#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace fairlead {
namespace {

using ::testing::HasSubstr;

struct Row {
  const char* name;
  LinkMessage message;
  uint16_t version = kLinkVersion;
};

HelloMessage Hello(std::vector<IpAddress> own_addresses, std::string release = "0.2.0") {
  return {.pid = 1,
          .instance = 8,
          .generation = 2,
          .snapshot_digest = 3,
          .change_id = 7,
          .snapshot_version = 4,
          .worker_count = 5,
          .flow_records = 6,
          .own_addresses = std::move(own_addresses),
          .release = std::move(release),
          .running_us = 9,
          .records_taken_over = 10,
          .makes_probes = true};
}

const Row kRows[] = {
    {"Hello", Hello({})},
    {"HelloWithAddresses",
     Hello({*IpAddress::Parse("10.0.0.2"), *IpAddress::Parse("2001:db8::2")})},
    {"HelloWithAllAddresses", Hello({kMaxOwnAddresses, *IpAddress::Parse("2001:db8::2")},
                                    std::string(kMaxReleaseBytes, 'x'))},
    {"ClientHello", ClientHelloMessage{3, 6, "0.2.0"}},
    {"Publish", PublishMessage{7, 8}},
    {"PublishedInForce", PublishedMessage{9, true, 10, 3, ""}},
    {"PublishedRefused", PublishedMessage{9, false, 10, 0, "backends[3].weight: 1001"}},
    {"PublishedLongestReason", PublishedMessage{1, false, 2, 0, std::string(1024, 'x')}},
    {"GetStats", GetStatsMessage{}},
    {"Stats", StatsMessage{4711}},
    {"FindFlow", FindFlowMessage{~uint64_t{0}, 12, 13}},
    {"Flow", FlowMessage{true, 13, 14, 15, true, 16, 17, 18}},
    {"OpenProbes", OpenProbesMessage{}},
    {"ProbesOpen", ProbesMessage{true, ""}},
    {"ProbesRefused", ProbesMessage{false, std::string(1024, 'x')}},
    {"HelloInVersion2",
     HelloMessage{.pid = 1,
                  .generation = 2,
                  .snapshot_digest = 3,
                  .snapshot_version = 4,
                  .worker_count = 5,
                  .flow_records = 6,
                  .own_addresses = {},
                  .release = {}},
     kFirstLinkVersion},
    {"PublishInVersion2", PublishMessage{7, 8}, kFirstLinkVersion},
    {"PublishedInVersion2", PublishedMessage{9, false, 10, 0, "refused"}, kFirstLinkVersion},
    {"GetStatsInVersion2", GetStatsMessage{}, kFirstLinkVersion},
    {"StatsInVersion2", StatsMessage{4711}, kFirstLinkVersion},
    {"FindFlowInVersion2", FindFlowMessage{~uint64_t{0}, 12, 13}, kFirstLinkVersion},
    {"FlowInVersion2", FlowMessage{true, 13, 14, 15, true, 16, 17, 18}, kFirstLinkVersion},
};

std::vector<std::byte> Encode(uint32_t id, const Row& row) {
  return EncodeLinkMessage(id, row.message, row.version);
}

// The members of a message, so that two can be compared.
auto Members(const HelloMessage& m) {
  return std::tuple(m.pid, m.instance, m.generation, m.snapshot_digest, m.change_id,
                    m.snapshot_version, m.worker_count, m.flow_records, m.own_addresses, m.release,
                    m.running_us, m.records_taken_over, m.makes_probes);
}
auto Members(const ClientHelloMessage& m) {
  return std::tuple(m.snapshot_version, m.stats_version, m.release);
}
auto Members(const PublishMessage& m) { return std::tuple(m.generation, m.image_bytes); }
auto Members(const PublishedMessage& m) {
  return std::tuple(m.generation, m.in_force, m.apply_us, m.left_out, m.reason);
}
auto Members(const OpenProbesMessage&) { return std::tuple(); }
auto Members(const ProbesMessage& m) { return std::tuple(m.open, m.reason); }
auto Members(const GetStatsMessage&) { return std::tuple(); }
auto Members(const StatsMessage& m) { return std::tuple(m.body_bytes); }
auto Members(const FindFlowMessage& m) { return std::tuple(m.tag, m.buckets, m.service_id); }
auto Members(const FlowMessage& m) {
  return std::tuple(m.found, m.backend_id, m.age_ms, m.flags, m.slot_known, m.slot_state,
                    m.current_id, m.stable_id);
}

LinkHeader HeaderOf(const std::vector<std::byte>& datagram) {
  LinkHeader header;
  std::memcpy(&header, datagram.data(), sizeof(header));
  return header;
}

void SetHeader(const LinkHeader& header, std::vector<std::byte>* datagram) {
  std::memcpy(datagram->data(), &header, sizeof(header));
}

class LinkMessages : public ::testing::TestWithParam<Row> {};

TEST_P(LinkMessages, AreDecodedAsTheyWereEncoded) {
  const auto datagram = Encode(77, GetParam());
  EXPECT_LE(datagram.size(), kMaxLinkMessageBytes);
  const Result<DecodedMessage> decoded = DecodeLinkMessage(datagram);
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  EXPECT_EQ(decoded->id, 77U);
  EXPECT_EQ(decoded->version, GetParam().version);
  ASSERT_EQ(decoded->message.index(), GetParam().message.index());
  std::visit(
      [&](const auto& sent) {
        using Message = std::decay_t<decltype(sent)>;
        EXPECT_EQ(Members(sent), Members(std::get<Message>(decoded->message)));
      },
      GetParam().message);
}

TEST_P(LinkMessages, AreRefusedWhenTruncatedAtAnyByte) {
  const auto datagram = Encode(1, GetParam());
  for (size_t length = 0; length < datagram.size(); ++length) {
    EXPECT_FALSE(DecodeLinkMessage(std::span(datagram).first(length)).ok()) << length;
  }
}

// True if the message without its last `missing` bytes is one of before a field was added.
bool IsAnEarlierBody(const Row& row, size_t missing) {
  const bool has_later_fields =
      std::holds_alternative<HelloMessage>(row.message) && row.version == kLinkVersion;
  // The last fields have 1, 8 and 8 bytes.
  return has_later_fields && (missing == 1 || missing == 9 || missing == 17);
}

TEST_P(LinkMessages, AreRefusedWhenTruncatedAtAnyByteWithAMatchingLength) {
  const auto datagram = Encode(1, GetParam());
  for (size_t length = sizeof(LinkHeader); length < datagram.size(); ++length) {
    if (IsAnEarlierBody(GetParam(), datagram.size() - length)) continue;
    std::vector<std::byte> cut(datagram.begin(),
                               datagram.begin() + static_cast<std::ptrdiff_t>(length));
    LinkHeader header = HeaderOf(cut);
    header.body_bytes = static_cast<uint32_t>(length - sizeof(header));
    SetHeader(header, &cut);
    EXPECT_THAT(DecodeLinkMessage(cut).status().message(), HasSubstr("malformed body")) << length;
  }
}

TEST_P(LinkMessages, AreRefusedWithExtraBytesThatTheHeaderDoesNotCount) {
  auto datagram = Encode(1, GetParam());
  datagram.push_back(std::byte{0});
  EXPECT_FALSE(DecodeLinkMessage(datagram).ok());
}

// Only release 0.1.0 speaks version 2. From version 4 on, later releases may add fields.
TEST_P(LinkMessages, AreReadWithUnknownFieldsFromVersion4On) {
  auto datagram = Encode(1, GetParam());
  ASSERT_LT(datagram.size(), kMaxLinkMessageBytes);
  datagram.push_back(std::byte{1});
  LinkHeader header = HeaderOf(datagram);
  ++header.body_bytes;
  SetHeader(header, &datagram);
  const Result<DecodedMessage> decoded = DecodeLinkMessage(datagram);
  if (GetParam().version == kFirstLinkVersion) {
    EXPECT_THAT(decoded.status().message(), HasSubstr("malformed body"));
  } else {
    ASSERT_TRUE(decoded.ok()) << decoded.status().message();
    EXPECT_EQ(decoded->message.index(), GetParam().message.index());
  }
}

INSTANTIATE_TEST_SUITE_P(All, LinkMessages, ::testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

struct BadHeader {
  const char* name;
  void (*change)(LinkHeader*);
  const char* message;
};

const BadHeader kBadHeaders[] = {
    {"Magic", [](LinkHeader* h) { h->magic ^= 1; }, "foreign magic"},
    {"Version", [](LinkHeader* h) { h->version = 3; },
     "version 3; this release speaks versions 2 and 4"},
    {"TypeZero", [](LinkHeader* h) { h->type = 0; }, "unknown type 0"},
    {"TypeAboveTheLast", [](LinkHeader* h) { h->type = 11; }, "unknown type 11"},
    {"TypeAboveTheLastOfVersion2",
     [](LinkHeader* h) {
       h->version = 2;
       h->type = 8;
     },
     "unknown type 8"},
    {"Length", [](LinkHeader* h) { h->body_bytes = 0xffffffff; },
     "announces a body of 4294967295 bytes and has 16"},
};

class LinkHeaders : public ::testing::TestWithParam<BadHeader> {};

TEST_P(LinkHeaders, AreRefusedWithTheNameOfTheField) {
  auto datagram = EncodeLinkMessage(1, PublishMessage{1, 2});
  LinkHeader header = HeaderOf(datagram);
  GetParam().change(&header);
  SetHeader(header, &datagram);
  EXPECT_THAT(DecodeLinkMessage(datagram).status().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(All, LinkHeaders, ::testing::ValuesIn(kBadHeaders),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(DecodeLinkMessage, RefusesAFlagThatIsNeitherZeroNorOne) {
  auto datagram = EncodeLinkMessage(1, PublishedMessage{1, true, 2, 0, ""});
  datagram[sizeof(LinkHeader) + sizeof(uint64_t)] = std::byte{2};
  EXPECT_FALSE(DecodeLinkMessage(datagram).ok());
}

TEST(DecodeLinkMessage, RefusesAReleaseWithAnUnprintableCharacter) {
  auto datagram = EncodeLinkMessage(1, ClientHelloMessage{3, 6, "0.2.0"});
  datagram.back() = std::byte{'\n'};
  EXPECT_FALSE(DecodeLinkMessage(datagram).ok());
}

TEST(EncodeLinkMessage, OmitsFieldsThatVersion2DoesNotHave) {
  const auto hello = DecodeLinkMessage(
      EncodeLinkMessage(1, Hello({*IpAddress::Parse("10.0.0.2")}), kFirstLinkVersion));
  ASSERT_TRUE(hello.ok()) << hello.status().message();
  const auto& in_version_2 = std::get<HelloMessage>(hello->message);
  EXPECT_EQ(in_version_2.generation, 2U);
  EXPECT_EQ(in_version_2.instance, 0U);
  EXPECT_TRUE(in_version_2.own_addresses.empty());
  const auto published = DecodeLinkMessage(
      EncodeLinkMessage(1, PublishedMessage{9, true, 10, 3, ""}, kFirstLinkVersion));
  ASSERT_TRUE(published.ok()) << published.status().message();
  EXPECT_EQ(std::get<PublishedMessage>(published->message).left_out, 0U);
}

// A field that a sender does not know has its default (message.h).
TEST(DecodeLinkMessage, AcceptsAHelloWithoutTheFieldsThatCameLater) {
  auto datagram = EncodeLinkMessage(1, Hello({*IpAddress::Parse("10.0.0.2")}));
  const auto shorten = [&](uint32_t field_bytes) {
    datagram.resize(datagram.size() - field_bytes);
    LinkHeader header = HeaderOf(datagram);
    header.body_bytes -= field_bytes;
    SetHeader(header, &datagram);
    const Result<DecodedMessage> decoded = DecodeLinkMessage(datagram);
    EXPECT_TRUE(decoded.ok()) << decoded.status().message();
    return std::get<HelloMessage>(decoded->message);
  };
  const HelloMessage without_probes = shorten(1);
  EXPECT_EQ(without_probes.records_taken_over, 10U);
  EXPECT_FALSE(without_probes.makes_probes);
  const HelloMessage without_records = shorten(sizeof(uint64_t));
  EXPECT_EQ(without_records.release, "0.2.0");
  EXPECT_EQ(without_records.running_us, 9U);
  EXPECT_EQ(without_records.records_taken_over, 0U);
  EXPECT_EQ(shorten(sizeof(uint64_t)).running_us, 0U);
}

TEST(DecodeLinkMessage, RefusesAReasonLongerThanItsLimit) {
  auto datagram = EncodeLinkMessage(1, PublishedMessage{1, false, 2, 0, std::string(1024, 'x')});
  const uint32_t length = 1025;
  std::memcpy(datagram.data() + sizeof(LinkHeader) + 21, &length, sizeof(length));
  datagram.push_back(std::byte{'x'});
  LinkHeader header = HeaderOf(datagram);
  ++header.body_bytes;
  SetHeader(header, &datagram);
  EXPECT_FALSE(DecodeLinkMessage(datagram).ok());
}

TEST(DecodeLinkMessage, RefusesADatagramAboveTheLimit) {
  const std::vector<std::byte> datagram(kMaxLinkMessageBytes + 1);
  EXPECT_THAT(DecodeLinkMessage(datagram).status().message(), HasSubstr("is longer than 4096"));
}

TEST(DecodeLinkMessage, SurvivesRandomChanges) {
  constexpr uint64_t kSeed = 20250110;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  size_t accepted = 0;
  for (int round = 0; round < 50'000; ++round) {
    auto datagram = Encode(1, kRows[random() % std::size(kRows)]);
    for (uint64_t i = random() % 3; i > 0; --i) {
      datagram[random() % datagram.size()] = std::byte{static_cast<uint8_t>(random())};
    }
    if (random() % 4 == 0) datagram.resize(random() % (datagram.size() + 8));
    if (DecodeLinkMessage(datagram).ok()) ++accepted;
  }
  EXPECT_GT(accepted, 1000U);  // messages without a change, or with a changed value only
  EXPECT_LT(accepted, 49'000U);
}

}  // namespace
}  // namespace fairlead
