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
  FrameLayout layout;
  Verdict verdict = Verdict::kPending;
  DropReason reason = DropReason::kNone;
  bool late = false;  // a fragment that may have to wait for a later step
  // The frames that must leave: the packet or its fragments, the reply, or the ICMP error.
  std::vector<std::vector<uint8_t>> out;
};

struct PacketRow {
  std::string name;
  std::string rule;
  std::string variant;
  int64_t records = -1;  // how many flows must be recorded; -1: not checked
  std::vector<PacketStep> steps;
};

struct PacketRows {
  std::map<std::string, PacketVariant> variants;
  std::vector<PacketRow> rows;
};

// Runs export_rows.py (about ten seconds), or reads its output from the file that the environment
// variable FAIRLEAD_ROWS names.
Result<PacketRows> LoadPacketRows();

// An arbitrary order, to compare frames as sets. (operator< of vectors of bytes causes a wrong
// warning of gcc 12.)
inline bool FrameLess(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  const auto text = [](const std::vector<uint8_t>& bytes) {
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  return text(a) < text(b);
}

// True if a frame leaves in the packet's own buffer. It is the first of the step's `out`.
inline bool LeavesInOwnBuffer(const PacketStep& step) {
  return step.verdict == Verdict::kForward || step.verdict == Verdict::kAnswer;
}

}  // namespace fairlead
