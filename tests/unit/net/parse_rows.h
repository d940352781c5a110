// The parsing rules as rows: a frame and the expected result. The rule tests check them. The
// differential test and parse_fuzzer use them as seeds.
#pragma once

#include <string>
#include <vector>

#include "lib/net/parse.h"
#include "tests/unit/net/frame_builder.h"

namespace fairlead::testing {

struct ParseRow {
  std::string name;  // states the behaviour
  Bytes frame;
  FrameKind kind;
  DropReason defect;
  // Protocol and l4_offset are checked only for IP packets without a defect.
  uint8_t protocol = 0;
  uint16_t l3_offset = 14;
  uint16_t l4_offset = 0;
  uint8_t vlan_count = 0;
};

std::vector<ParseRow> EthernetRows();
std::vector<ParseRow> Ipv4Rows();
std::vector<ParseRow> Ipv6Rows();
std::vector<ParseRow> AllParseRows();

}  // namespace fairlead::testing
