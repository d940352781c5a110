// Runs every packet row through the real pipeline, without EAL and NIC. Each row runs alone from
// fresh state. The test compares every verdict, drop reason, byte and counter. Each row is
// registered as one test.
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/packet/packet_rows.h"

namespace fairlead {
namespace {

using Bytes = std::vector<uint8_t>;
using Frames = std::vector<Bytes>;

PacketRows* rows = nullptr;
std::map<std::string, std::unique_ptr<PacketHarness>>* harnesses = nullptr;

std::string Hex(const Bytes& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string VerdictText(Verdict verdict, DropReason reason) {
  switch (verdict) {
    case Verdict::kForward:
      return "forward";
    case Verdict::kAnswer:
      return "answer";
    case Verdict::kToKernel:
      return "to_kernel";
    case Verdict::kDrop:
      return "drop " + std::string(DropReasonName(reason));
    case Verdict::kHeld:
      return "held";
    case Verdict::kPending:
      break;
  }
  return "no verdict";
}

// A reply that is longer than its request gets exactly the tailroom that it needs. A frame in two
// segments has no tailroom behind its first segment.
FrameLayout LayoutOf(const PacketStep& step, uint32_t linear_length) {
  FrameLayout layout = step.layout;
  if (layout.linear_length == 0) layout.linear_length = linear_length;
  if (layout.linear_length != 0 && layout.linear_length < step.frame.size()) return layout;
  constexpr size_t kOption = 8;  // the pipeline requires this tailroom for any advertisement
  const size_t length = step.out.empty() ? 0 : step.out.front().size();
  layout.tailroom = static_cast<uint16_t>(
      step.verdict == Verdict::kAnswer && length > step.frame.size() ? length - step.frame.size()
                                                                     : kOption);
  return layout;
}

// Compares as sets: the rules do not specify the order in which made and released frames leave.
void ExpectSameFrames(Frames wanted, Frames got, const std::string& what) {
  std::sort(wanted.begin(), wanted.end(), FrameLess);
  std::sort(got.begin(), got.end(), FrameLess);
  EXPECT_EQ(got.size(), wanted.size()) << what;
  for (size_t i = 0; i < std::min(wanted.size(), got.size()); ++i) {
    EXPECT_EQ(Hex(got[i]), Hex(wanted[i])) << what;
  }
}

class RowTest : public testing::Test {
 public:
  // `burst_size`: packets that pass the stages together. `linear_length`: bytes of each that are
  // contiguous, 0 = all.
  RowTest(const PacketRow* row, uint32_t burst_size, uint32_t linear_length)
      : row_(row), burst_size_(burst_size), linear_length_(linear_length) {}

  void TestBody() override {
    SCOPED_TRACE(row_->rule);
    std::unique_ptr<PacketHarness>& harness = (*harnesses)[row_->variant];
    if (harness == nullptr) {
      Result<std::unique_ptr<PacketHarness>> made =
          PacketHarness::Create(rows->variants.at(row_->variant));
      ASSERT_TRUE(made.ok()) << made.status().message();
      harness = *std::move(made);
    }
    harness->Reset();
    for (size_t at = 0; at < row_->steps.size(); at += burst_size_) RunBurst(harness.get(), at);
    CollectLate(harness->Release(true));
    ExpectSameFrames(wanted_late_, got_late_, "fragments that waited");
    CheckCounters(*harness);
  }

 private:
  void RunBurst(PacketHarness* harness, size_t at) {
    const size_t end = std::min(row_->steps.size(), at + burst_size_);
    Burst burst;
    for (size_t i = at; i < end; ++i) {
      const PacketStep& step = row_->steps[i];
      harness->buffers().Receive(step.frame, LayoutOf(step, linear_length_), &burst);
    }
    const PacketHarness::Outcome outcome = harness->Process(&burst);
    Frames made;
    for (size_t i = at; i < end; ++i) CheckPacket(row_->steps[i], outcome.packets[i - at], &made);
    ExpectSameFrames(made, outcome.made, "ICMP errors and further fragments");
    CollectLate(harness->Release(false));
  }

  // Appends to `made` the frames that the pipeline must have made besides the packet itself.
  void CheckPacket(const PacketStep& step, const PacketHarness::PacketFate& left, Frames* made) {
    if (left.verdict == Verdict::kHeld) {
      EXPECT_TRUE(step.late) << "held: " << Hex(step.frame);
      wanted_late_.insert(wanted_late_.end(), step.out.begin(), step.out.end());
      return;
    }
    // Within a burst, a fragment finds the routing decision that a later first fragment recorded.
    EXPECT_TRUE(!step.late || burst_size_ > 1) << "not held: " << Hex(step.frame);
    EXPECT_EQ(VerdictText(left.verdict, left.reason), VerdictText(step.verdict, step.reason))
        << "sent " << Hex(step.frame);
    const auto own = static_cast<Frames::difference_type>(LeavesInOwnBuffer(step) ? 1 : 0);
    if (own == 1 && !left.frame.empty()) {
      EXPECT_EQ(Hex(left.frame), Hex(step.out.front())) << "sent " << Hex(step.frame);
    }
    made->insert(made->end(), step.out.begin() + own, step.out.end());
  }

  void CollectLate(const PacketHarness::Outcome& outcome) {
    for (const PacketHarness::PacketFate& left : outcome.packets) {
      if (!left.frame.empty()) got_late_.push_back(left.frame);
    }
    got_late_.insert(got_late_.end(), outcome.made.begin(), outcome.made.end());
  }

  void CheckCounters(const PacketHarness& harness) {
    PacketTotals wanted;
    for (const PacketStep& step : row_->steps) {
      ++wanted.rx_packets;
      wanted.tx_packets += step.out.size();
      wanted.generated += step.out.size();
      if (step.verdict == Verdict::kForward) --wanted.generated;
      if (step.verdict == Verdict::kToKernel) ++wanted.to_kernel;
      if (step.verdict == Verdict::kDrop) ++wanted.drops[static_cast<size_t>(step.reason)];
      if (step.verdict == Verdict::kAnswer) {
        ++wanted.drops[static_cast<size_t>(DropReason::k_answered)];
      }
    }
    const PacketTotals& totals = harness.totals();
    EXPECT_TRUE(harness.IsConserved());
    EXPECT_EQ(harness.buffers().in_use(), 0U);
    EXPECT_EQ(totals.rx_packets, wanted.rx_packets);
    EXPECT_EQ(totals.tx_packets, wanted.tx_packets);
    EXPECT_EQ(totals.generated, wanted.generated);
    EXPECT_EQ(totals.to_kernel, wanted.to_kernel);
    for (size_t reason = 1; reason < kDropReasonCount; ++reason) {
      EXPECT_EQ(totals.drops[reason], wanted.drops[reason])
          << DropReasonName(static_cast<DropReason>(reason));
    }
    if (row_->records >= 0) {
      EXPECT_EQ(harness.counters().new_flows, static_cast<uint64_t>(row_->records));
    }
  }

  const PacketRow* row_;
  uint32_t burst_size_;
  uint32_t linear_length_;
  Frames wanted_late_;
  Frames got_late_;
};

void Register(const PacketRow& row, const char* suite, uint32_t burst_size,
              uint32_t linear_length = 0) {
  testing::RegisterTest(suite, (row.variant + "-" + row.name).c_str(), nullptr, nullptr, __FILE__,
                        __LINE__, [&row, burst_size, linear_length]() -> RowTest* {
                          return new RowTest(&row, burst_size, linear_length);
                        });
}

class LoadFailure : public testing::Test {
 public:
  explicit LoadFailure(std::string message) : message_(std::move(message)) {}
  void TestBody() override { FAIL() << message_; }

 private:
  std::string message_;
};

void RegisterAll() {
  Result<PacketRows> loaded = LoadPacketRows();
  const bool empty = loaded.ok() && loaded->rows.empty();
  if (!loaded.ok() || empty) {
    const std::string message =
        empty ? "export_rows.py exported no rows" : loaded.status().message();
    testing::RegisterTest("Rows", "CanBeLoaded", nullptr, nullptr, __FILE__, __LINE__,
                          [message]() -> LoadFailure* { return new LoadFailure(message); });
    return;
  }
  rows = new PacketRows(*std::move(loaded));
  harnesses = new std::map<std::string, std::unique_ptr<PacketHarness>>;
  for (const PacketRow& row : rows->rows) {
    Register(row, "RowOneByOne", 1);
    Register(row, "RowInBursts", kMaxBurst);
    Register(row, "RowInSegments", kMaxBurst, kMaxHeaderBytes);
  }
}

}  // namespace
}  // namespace fairlead

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  fairlead::RegisterAll();
  const int status = RUN_ALL_TESTS();
  delete fairlead::harnesses;
  delete fairlead::rows;
  return status;
}
