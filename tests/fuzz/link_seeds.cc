// Seed corpus of link_fuzzer: one message of each type.
#include "lib/link/message.h"
#include "tests/fuzz/seed_file.h"

int main(int argc, char** argv) {
  using namespace fairlead;
  const std::string folder = testing::SeedFolder(argc, argv);
  const LinkMessage messages[] = {
      HelloMessage{1,
                   8,
                   2,
                   3,
                   7,
                   4,
                   5,
                   6,
                   {*IpAddress::Parse("10.0.0.2"), *IpAddress::Parse("2001:db8::2")}},
      PublishMessage{7, 8},
      PublishedMessage{9, true, 10, 0, ""},
      PublishedMessage{9, false, 10, 0, "refused"},
      GetStatsMessage{},
      StatsMessage{4711},
      FindFlowMessage{11, 12, 13},
      FlowMessage{true, 13, 14, 15, true, 1, 16, 17}};
  uint32_t id = 0;
  for (const LinkMessage& message : messages) {
    ++id;
    testing::WriteSeed(folder, std::to_string(id), EncodeLinkMessage(id, message));
  }
  return 0;
}
