// Seed corpus of link_fuzzer: one message of each type.
#include "lib/link/message.h"
#include "tests/fuzz/seed_file.h"

int main(int argc, char** argv) {
  using namespace fairlead;
  const std::string folder = testing::SeedFolder(argc, argv);
  const LinkMessage messages[] = {HelloMessage{.pid = 1,
                                               .instance = 8,
                                               .generation = 2,
                                               .snapshot_digest = 3,
                                               .change_id = 7,
                                               .snapshot_version = 4,
                                               .worker_count = 5,
                                               .flow_records = 6,
                                               .own_addresses = {*IpAddress::Parse("10.0.0.2"),
                                                                 *IpAddress::Parse("2001:db8::2")},
                                               .release = "0.2.0"},
                                  ClientHelloMessage{3, 6, "0.2.0"},
                                  PublishMessage{7, 8},
                                  PublishedMessage{9, true, 10, 0, ""},
                                  PublishedMessage{9, false, 10, 0, "refused"},
                                  OpenProbesMessage{},
                                  ProbesMessage{true, ""},
                                  ProbesMessage{false, "refused"},
                                  GetStatsMessage{},
                                  StatsMessage{4711},
                                  FindFlowMessage{11, 12, 13},
                                  FlowMessage{true, 13, 14, 15, true, 1, 16, 17}};
  uint32_t id = 0;
  for (const LinkMessage& message : messages) {
    ++id;
    testing::WriteSeed(folder, std::to_string(id), EncodeLinkMessage(id, message));
    if (std::holds_alternative<ClientHelloMessage>(message) ||
        std::holds_alternative<OpenProbesMessage>(message) ||
        std::holds_alternative<ProbesMessage>(message)) {
      continue;
    }
    testing::WriteSeed(folder, std::to_string(id) + "-version-2",
                       EncodeLinkMessage(id, message, kFirstLinkVersion));
  }
  return 0;
}
