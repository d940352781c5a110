// The packet rows (rows.py) in C++, loaded from export_rows.py.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/result.h"
#include "tests/packet/packet_harness.h"

namespace fairlead {

struct PacketStep {
  std::vector<uint8_t> frame;
  FrameRoom room;
  Verdict verdict = Verdict::kPending;
  DropReason reason = DropReason::kNone;
  bool late = false;  // a fragment that may have to wait for a later step
  // What must leave: the packet or its pieces, the reply, the ICMP error about a dropped one.
  std::vector<std::vector<uint8_t>> out;
};

struct PacketRow {
  std::string name;
  std::string rule;
  std::string variant;
  int64_t records = -1;  // flows that must have been recorded; -1: not judged
  std::vector<PacketStep> steps;
};

struct PacketRows {
  std::map<std::string, PacketVariant> variants;
  std::vector<PacketRow> rows;
};

// Runs export_rows.py (about ten seconds) or, when the environment names a file in
// FAIRLEAD_ROWS, reads what it wrote there.
Result<PacketRows> LoadPacketRows();

// Any order, to compare frames as sets. (operator< of vectors of bytes makes gcc 12 warn without
// reason.)
inline bool FrameLess(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  const auto text = [](const std::vector<uint8_t>& bytes) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  return text(a) < text(b);
}

// True when what leaves in the packet's own buffer is the first of the step's `out`.
inline bool LeavesItself(const PacketStep& step) {
  return step.verdict == Verdict::kForward || step.verdict == Verdict::kReply;
}

}  // namespace fairlead
