// Most tests damage a valid image at one place and correct its digest. So only the check of that
// place can refuse the image.
#include "lib/snapshot/validator.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/snapshot/builder.h"
#include "lib/snapshot/format.h"
#include "tests/unit/rounds.h"
#include "tests/unit/snapshot/sample.h"

namespace fairlead {
namespace {

using ::testing::HasSubstr;
using testing::SampleInput;
using ::testing::StartsWith;

// A writable image of SampleInput. The sorted records are
// frontends 0..3, services dns (0) and web (1), backends 0 (dns) and 1..3 (web), next hops 0 and 1.
class Damaged {
 public:
  Damaged() {
    const SnapshotImage image = BuildSnapshot(SampleInput()).value();
    words_.resize(image.bytes().size() / 8);
    std::memcpy(words_.data(), image.bytes().data(), image.bytes().size());
  }
  SnapshotHeader& header() { return *reinterpret_cast<SnapshotHeader*>(words_.data()); }
  FrontendRecord& frontend(size_t i) { return Record<FrontendRecord>(header().frontends, i); }
  ServiceRecord& service(size_t i) { return Record<ServiceRecord>(header().services, i); }
  BackendRecord& backend(size_t i) { return Record<BackendRecord>(header().backends, i); }
  NextHopRecord& next_hop(size_t i) { return Record<NextHopRecord>(header().next_hops, i); }
  char& name_byte(size_t i) { return Record<char>(header().names, i); }
  void AddWord() { words_.push_back(0); }

  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(words_)); }
  void FixDigest() { header().digest = SnapshotDigest(bytes()); }

 private:
  template <typename T>
  T& Record(const SectionRange& range, size_t i) {
    auto* bytes = reinterpret_cast<std::byte*>(words_.data()) + range.offset_bytes;
    return reinterpret_cast<T*>(bytes)[i];
  }
  std::vector<uint64_t> words_;
};

constexpr uint32_t kMax32 = std::numeric_limits<uint32_t>::max();
constexpr uint64_t kMax64 = std::numeric_limits<uint64_t>::max();

struct Damage {
  const char* name;
  void (*apply)(Damaged*);
  const char* message;  // the beginning of the error
};

const Damage kDamages[] = {
    {"Magic", [](Damaged* d) { d->header().magic ^= 1; }, "snapshot: magic: not a Fairlead"},
    {"Version", [](Damaged* d) { d->header().version = 1; },
     "snapshot: version: 1 is not within 2..3"},
    {"VersionTooHigh", [](Damaged* d) { d->header().version = 4; },
     "snapshot: version: 4 is not within 2..3"},
    {"LastPortBelowThePort", [](Damaged* d) { d->frontend(0).last_port = 79; },
     "snapshot: frontends[0].last_port: 79 does not end a range that begins at 80"},
    {"LastPortOfNoRange", [](Damaged* d) { d->frontend(0).last_port = 80; },
     "snapshot: frontends[0].last_port: 80 does not end a range that begins at 80"},
    {"RangesOverlapInPart",
     [](Damaged* d) {
       d->frontend(0).last_port = 443;
       d->frontend(1).last_port = 444;
     },
     "snapshot: frontends[1].last_port: 203.0.113.10:443-444/tcp overlaps "
     "203.0.113.10:80-443/tcp partly"},
    {"NarrowerRangeBeforeTheWider",
     [](Damaged* d) {
       d->frontend(0).last_port = 90;
       d->frontend(1).port = 80;
       d->frontend(1).last_port = 91;
     },
     "snapshot: frontends[1].address: 203.0.113.10 port 80/tcp is out of order"},
    {"HeaderBytes", [](Damaged* d) { d->header().header_bytes = 136; },
     "snapshot: header_bytes: 136 is not 160"},
    {"TotalBytes", [](Damaged* d) { d->header().total_bytes += 8; }, "snapshot: total_bytes: "},
    {"BytesAfterTheNames",
     [](Damaged* d) {
       d->AddWord();
       d->header().total_bytes += 8;
     },
     "snapshot: total_bytes: "},
    {"PaddingNotZero", [](Damaged* d) { d->bytes().back() = std::byte{1}; },
     "snapshot: padding: 1 after names is not 0"},

    {"FrontendsOffset", [](Damaged* d) { d->header().frontends.offset_bytes += 8; },
     "snapshot: frontends.offset_bytes: 168 is not 160"},
    {"FrontendsCountAboveLimit", [](Damaged* d) { d->header().frontends.count = kMax64; },
     "snapshot: frontends.count: 18446744073709551615 is above the limit"},
    {"FrontendsCountPastTheEnd", [](Damaged* d) { d->header().frontends.count = kMaxFrontends; },
     "snapshot: frontends.count: 1048576 records do not fit"},
    {"FrontendsCountOffByOne", [](Damaged* d) { d->header().frontends.count += 1; },
     "snapshot: services.offset_bytes: "},
    {"ServicesOffset", [](Damaged* d) { d->header().services.offset_bytes = kMax64 - 7; },
     "snapshot: services.offset_bytes: "},
    {"ServicesCount", [](Damaged* d) { d->header().services.count = kMaxServices + 1; },
     "snapshot: services.count: 65536 is above the limit of 65535"},
    {"BackendsOffset", [](Damaged* d) { d->header().backends.offset_bytes -= 8; },
     "snapshot: backends.offset_bytes: "},
    {"BackendsCount", [](Damaged* d) { d->header().backends.count = kMaxBackends + 1; },
     "snapshot: backends.count: 1048577 is above the limit"},
    {"NextHopsOffset", [](Damaged* d) { d->header().next_hops.offset_bytes = 0; },
     "snapshot: next_hops.offset_bytes: 0 is not"},
    {"NextHopsCount", [](Damaged* d) { d->header().next_hops.count = kMax32; },
     "snapshot: next_hops.count: 4294967295 is above the limit"},
    {"NamesOffset", [](Damaged* d) { d->header().names.offset_bytes += 1; },
     "snapshot: names.offset_bytes: "},
    {"NamesCountPastTheEnd", [](Damaged* d) { d->header().names.count = 9; },
     "snapshot: names.count: 9 records do not fit"},
    {"NamesCountTooSmall", [](Damaged* d) { d->header().names.count = 5; },
     "snapshot: padding: 98 after names is not 0"},

    {"Generation", [](Damaged* d) { d->header().generation = kMaxGeneration + 1; },
     "snapshot: generation: 9007199254740993 is above 9007199254740992"},
    {"ChangeIdOfVersion2",
     [](Damaged* d) {
       d->header().version = 2;
       d->header().change_id = 7;
     },
     "snapshot: change_id: 7 is not 0, as it must be in version 2"},
    {"HeaderReserved", [](Damaged* d) { d->header().reserved[1] = 3; },
     "snapshot: reserved: 3 is not 0"},
    {"ClientNextHopV4", [](Damaged* d) { d->header().client_next_hop_v4 = 2; },
     "snapshot: client_next_hop_v4: 2 is not below the count of next hops, 2"},
    {"ClientNextHopV6", [](Damaged* d) { d->header().client_next_hop_v6 = kMax32 - 1; },
     "snapshot: client_next_hop_v6: 4294967294 is not below"},

    {"FrontendFamily", [](Damaged* d) { d->frontend(0).family = 5; },
     "snapshot: frontends[0].family: 5 is neither 4 nor 6"},
    {"FrontendAddressTail", [](Damaged* d) { d->frontend(1).address[15] = 9; },
     "snapshot: frontends[1].address: 9 after an IPv4 address is not 0"},
    {"FrontendAddressMulticast", [](Damaged* d) { d->frontend(2).address[0] = 224; },
     "snapshot: frontends[2].address: 224.0.113.10 is not a usable"},
    {"FrontendProtocol", [](Damaged* d) { d->frontend(2).protocol = 1; },
     "snapshot: frontends[2].protocol: 1 is neither 6 nor 17"},
    {"FrontendServiceIndex", [](Damaged* d) { d->frontend(3).service_index = 2; },
     "snapshot: frontends[3].service_index: 2 is not below the count of services, 2"},
    {"FrontendTwice", [](Damaged* d) { d->frontend(1).port = 80; },
     "snapshot: frontends[1].address: 203.0.113.10 port 80/tcp appears twice"},
    {"FrontendOutOfOrder", [](Damaged* d) { d->frontend(1).port = 79; },
     "snapshot: frontends[1].address: 203.0.113.10 port 79/tcp is out of order"},

    {"NameOffset", [](Damaged* d) { d->service(1).name_offset = 4; },
     "snapshot: services[1].name_offset: 4 points past the end of names, 6 bytes"},
    {"NameOffsetHuge", [](Damaged* d) { d->service(0).name_offset = kMax32; },
     "snapshot: services[0].name_offset: 4294967295 points past"},
    {"NameLengthZero", [](Damaged* d) { d->service(0).name_length = 0; },
     "snapshot: services[0].name_length: 0 is not within 1..255"},
    {"NameLengthLong", [](Damaged* d) { d->service(0).name_length = 256; },
     "snapshot: services[0].name_length: 256 is not within 1..255"},
    {"NameTwice", [](Damaged* d) { d->service(1).name_offset = 0; },
     "snapshot: services[1].name: dns appears twice"},
    {"NameOutOfOrder", [](Damaged* d) { d->name_byte(0) = 'x'; },
     "snapshot: services[1].name: web is out of order"},
    {"NameNotUtf8", [](Damaged* d) { d->name_byte(1) = '\xff'; },
     "snapshot: services[0].name: (bytes at 0) is not printable UTF-8"},
    {"NameWithControlCharacter", [](Damaged* d) { d->name_byte(4) = '\n'; },
     "snapshot: services[1].name: (bytes at 3) is not printable UTF-8"},
    {"Mode", [](Damaged* d) { d->service(0).mode = 4; },
     "snapshot: services[0].mode: 4 is not a forwarding mode"},
    {"HashPolicy", [](Damaged* d) { d->service(0).hash_policy = 3; },
     "snapshot: services[0].hash_policy: 3 is not a hash policy"},
    {"TrackingTcp", [](Damaged* d) { d->service(1).tracking_tcp = 3; },
     "snapshot: services[1].tracking_tcp: 3 is not a tracking mode"},
    {"TrackingUdp", [](Damaged* d) { d->service(1).tracking_udp = 255; },
     "snapshot: services[1].tracking_udp: 255 is not a tracking mode"},
    {"GuePortWithoutGue", [](Damaged* d) { d->service(1).gue_port = 6080; },
     "snapshot: services[1].gue_port: 6080 is set, but the mode is not gue"},
    {"GueWithoutPort", [](Damaged* d) { d->service(0).mode = 2; },
     "snapshot: services[0].gue_port: 0 is not a port, which mode gue needs"},
    {"UnknownFlag", [](Damaged* d) { d->service(0).flags = 64; },
     "snapshot: services[0].flags: 64 has unknown bits"},
    {"MssClampWithoutNat", [](Damaged* d) { d->service(1).flags = kServiceMssClamp; },
     "snapshot: services[1].flags.mss_clamp: 1 is not allowed in mode 0"},
    {"GueChecksumWithoutGue", [](Damaged* d) { d->service(0).flags = kServiceGueChecksum; },
     "snapshot: services[0].flags.gue_checksum: 1 is not allowed in mode 3"},
    {"SecondChanceWithoutGue", [](Damaged* d) { d->service(1).flags = kServiceSecondChance; },
     "snapshot: services[1].flags.second_chance: 1 is not allowed in mode 0"},
    {"ServiceReservedTail", [](Damaged* d) { d->service(1).reserved[3] = 5; },
     "snapshot: services[1].reserved: 5 is not 0"},
    {"SlotCountNotPrime", [](Damaged* d) { d->service(0).slot_count = 65536; },
     "snapshot: services[0].slot_count: 65536 is not a prime"},
    {"SlotCountZero", [](Damaged* d) { d->service(0).slot_count = 0; },
     "snapshot: services[0].slot_count: 0 is not a prime"},
    {"SlotCountHugePrime", [](Damaged* d) { d->service(0).slot_count = 4294967291U; },
     "snapshot: services[0].slot_count: 4294967291 is not a prime of at most"},
    {"IdleTimeoutTcpZero", [](Damaged* d) { d->service(0).idle_timeout_tcp_ms = 0; },
     "snapshot: services[0].idle_timeout_tcp_ms: 0 is not within 1..86400000"},
    {"IdleTimeoutUdpLong", [](Damaged* d) { d->service(0).idle_timeout_udp_ms = 86'400'001; },
     "snapshot: services[0].idle_timeout_udp_ms: 86400001 is not within 1..86400000"},
    {"FirstBackend", [](Damaged* d) { d->service(1).first_backend = 0; },
     "snapshot: services[1].first_backend: 0 is not 1"},
    {"FirstBackendHuge", [](Damaged* d) { d->service(0).first_backend = kMax32; },
     "snapshot: services[0].first_backend: 4294967295 is not 0"},
    {"BackendCountAboveLimit", [](Damaged* d) { d->service(1).backend_count = kMax32; },
     "snapshot: services[1].backend_count: 4294967295 is above the limit of 32767"},
    {"BackendCountPastTheEnd", [](Damaged* d) { d->service(1).backend_count = 4; },
     "snapshot: services[1].backend_count: 4 points past the end of backends, 4"},
    {"BackendWithoutService", [](Damaged* d) { d->service(1).backend_count = 2; },
     "snapshot: backends.count: 4 backends, but services refer to 3"},
    {"ServiceReserved", [](Damaged* d) { d->service(0).reserved[0] = 1; },
     "snapshot: services[0].reserved: 1 is not 0"},
    {"ServiceIdTwice", [](Damaged* d) { d->service(1).id = 10; },
     "snapshot: services[1].id: 10 is also that of services[0]"},

    {"BackendFamily", [](Damaged* d) { d->backend(0).family = 0; },
     "snapshot: backends[0].family: 0 is neither 4 nor 6"},
    {"BackendAddressTail", [](Damaged* d) { d->backend(0).address[4] = 1; },
     "snapshot: backends[0].address: 1 after an IPv4 address is not 0"},
    {"BackendAddressLoopback", [](Damaged* d) { d->backend(0).address[0] = 127; },
     "snapshot: backends[0].address: 127.0.0.53 is not a usable"},
    {"BackendState", [](Damaged* d) { d->backend(1).state = 3; },
     "snapshot: backends[1].state: 3 is not a backend state"},
    {"BackendWeight", [](Damaged* d) { d->backend(1).weight = 1001; },
     "snapshot: backends[1].weight: 1001 is not within 0..1000"},
    {"BackendReserved", [](Damaged* d) { d->backend(1).reserved = 5; },
     "snapshot: backends[1].reserved: 5 is not 0"},
    {"BackendIdZero", [](Damaged* d) { d->backend(2).id = 0; },
     "snapshot: backends[2].id: 0 is not a valid id"},
    {"BackendIdTwice", [](Damaged* d) { d->backend(2).id = 1; },
     "snapshot: backends[2].id: 1 is also that of backends[0]"},
    {"BackendNextHopIndex", [](Damaged* d) { d->backend(3).next_hop_index = 2; },
     "snapshot: backends[3].next_hop_index: 2 is not below the count of next hops, 2"},
    {"BackendPortUnderDsr", [](Damaged* d) { d->backend(1).port = 8080; },
     "snapshot: backends[1].port: 8080 is set, but mode dsr"},
    {"BackendTwice", [](Damaged* d) { d->backend(2).address[3] = 11; },
     "snapshot: backends[2].address: 10.0.0.11 port 0 appears twice"},
    {"BackendOutOfOrder", [](Damaged* d) { d->backend(2).address[3] = 10; },
     "snapshot: backends[2].address: 10.0.0.10 port 0 is out of order"},

    {"NextHopMacZero", [](Damaged* d) { std::memset(d->next_hop(0).mac, 0, 6); },
     "snapshot: next_hops[0].mac: 00:00:00:00:00:00 is not a unicast MAC"},
    {"NextHopMacGroup", [](Damaged* d) { d->next_hop(1).mac[0] = 3; },
     "snapshot: next_hops[1].mac: 03:00:00:00:00:0c is not a unicast MAC"},
    {"NextHopVlan", [](Damaged* d) { d->next_hop(1).vlan = 4095; },
     "snapshot: next_hops[1].vlan: 4095 is not within 0..4094"},
    {"InterfaceWithoutEnd", [](Damaged* d) { std::memset(d->next_hop(0).interface, 'a', 16); },
     "snapshot: next_hops[0].interface: "},
    {"InterfacePaddingNotZero", [](Damaged* d) { d->next_hop(0).interface[10] = 'a'; },
     "snapshot: next_hops[0].interface: "},
    {"InterfaceNotPrintable", [](Damaged* d) { d->next_hop(0).interface[0] = '\x1b'; },
     "snapshot: next_hops[0].interface: "},
};

class ValidateSnapshotRefuses : public ::testing::TestWithParam<Damage> {};

TEST_P(ValidateSnapshotRefuses, OneDamagedPlace) {
  Damaged image;
  image.FixDigest();
  ASSERT_TRUE(ValidateSnapshot(image.bytes()).ok());
  GetParam().apply(&image);
  image.FixDigest();
  const Status status = ValidateSnapshot(image.bytes());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(status.message(), StartsWith(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Places, ValidateSnapshotRefuses, ::testing::ValuesIn(kDamages),
                         [](const auto& row) { return std::string(row.param.name); });

// The ids are spread over the whole range. Within a service they are far from each other.
TEST(ValidateSnapshot, FindsADuplicateIdAmongThousands) {
  SnapshotInput input = SampleInput();
  SnapshotService& dns = input.services[1];
  for (uint32_t i = 1; i < 3000; ++i) {
    const uint8_t address[4] = {10, 1, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
    SnapshotBackend backend = dns.backends[0];
    backend.id = 100 + i * 0x9e3779b1;
    backend.endpoint.address = IpAddress::FromV4(address);
    dns.backends.push_back(backend);
  }
  ASSERT_TRUE(BuildSnapshot(input).ok());
  for (const uint32_t other : {1U, 2U, 1777U, 2999U}) {
    SnapshotInput twice = input;
    twice.services[1].backends[other].id = input.services[1].backends[5].id;
    const std::string message = BuildSnapshot(twice).status().message();
    // Backends are sorted by address: 10.0.0.53 of the sample comes first.
    EXPECT_THAT(message, StartsWith("snapshot: backends[" + std::to_string(std::max(other, 5U))));
    EXPECT_THAT(message,
                HasSubstr("is also that of backends[" + std::to_string(std::min(other, 5U)) + "]"));
  }
}

TEST(ValidateSnapshot, RefusesEveryFlippedBit) {
  Damaged image;
  for (size_t i = 0; i < image.bytes().size() * 8; ++i) {
    const std::byte mask{static_cast<uint8_t>(1U << (i % 8))};
    image.bytes()[i / 8] ^= mask;
    EXPECT_FALSE(ValidateSnapshot(image.bytes()).ok()) << "bit " << i;
    image.bytes()[i / 8] ^= mask;
  }
}

TEST(ValidateSnapshot, ReportsDamagedContentThatOnlyTheDigestReveals) {
  Damaged image;
  image.header().hash_seed ^= 1;
  EXPECT_THAT(ValidateSnapshot(image.bytes()).message(),
              HasSubstr("digest: the content is damaged"));
}

// With a correct digest, the checks after it see the damage. What they accept must be safe to read.
// The sanitizer build detects a read outside the image.
TEST(ValidateSnapshot, NeverReadsOutsideTheImageWhateverItsBytes) {
  constexpr uint64_t kSeed = 20250109;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  size_t refused = 0;
  for (uint32_t round = 0; round < Rounds(20'000); ++round) {
    Damaged image;
    const uint64_t count = 1 + random() % 4;
    for (uint64_t i = 0; i < count; ++i) {
      const size_t at = sizeof(uint64_t) + random() % (image.bytes().size() - sizeof(uint64_t));
      image.bytes()[at] = std::byte{static_cast<uint8_t>(random())};
    }
    image.FixDigest();
    if (!ValidateSnapshot(image.bytes()).ok()) ++refused;
  }
  EXPECT_GT(refused, Rounds(10'000));
}

TEST(ValidateSnapshot, RefusesAnImageWithATruncatedHeader) {
  Damaged image;
  for (size_t length = 0; length < sizeof(SnapshotHeader); length += 8) {
    EXPECT_THAT(ValidateSnapshot(image.bytes().first(length)).message(),
                HasSubstr("bytes are less than a header of 160"));
  }
}

}  // namespace
}  // namespace fairlead
