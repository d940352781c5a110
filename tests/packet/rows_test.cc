// Every packet row through the real pipeline, without EAL and without a NIC: each row alone, from
// fresh state, with every verdict, reason, byte and counter judged. Registered by name, so that a
// row that fails is a test that fails.
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

std::string Words(Verdict verdict, DropReason reason) {
  switch (verdict) {
    case Verdict::kForward:
      return "forward";
    case Verdict::kReply:
      return "reply";
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

// A reply may grow into the room behind the frame, by as much as it needs. A frame that is cut in
// two has nothing free behind its first part.
FrameRoom RoomOf(const PacketStep& step, uint32_t linear_length) {
  FrameRoom room = step.room;
  if (room.linear_length == 0) room.linear_length = linear_length;
  if (room.linear_length != 0 && room.linear_length < step.frame.size()) return room;
  constexpr size_t kOption = 8;  // what an advertisement may grow by, and is checked for beforehand
  const size_t length = step.out.empty() ? 0 : step.out.front().size();
  room.tailroom = static_cast<uint16_t>(
      step.verdict == Verdict::kReply && length > step.frame.size() ? length - step.frame.size()
                                                                    : kOption);
  return room;
}

// Compares as sets: the order in which made and released frames leave is no rule.
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
    Take(harness->Release(true));
    ExpectSameFrames(wanted_late_, got_late_, "fragments that waited");
    JudgeCounters(*harness);
  }

 private:
  void RunBurst(PacketHarness* harness, size_t at) {
    const size_t end = std::min(row_->steps.size(), at + burst_size_);
    Burst burst;
    for (size_t i = at; i < end; ++i) {
      const PacketStep& step = row_->steps[i];
      harness->buffers().Receive(step.frame, RoomOf(step, linear_length_), &burst);
    }
    const PacketHarness::Outcome outcome = harness->Process(&burst);
    Frames made;
    for (size_t i = at; i < end; ++i) Judge(row_->steps[i], outcome.packets[i - at], &made);
    ExpectSameFrames(made, outcome.made, "errors and pieces");
    Take(harness->Release(false));
  }

  // `made`: what the pipeline must have made on top of the packet itself is added there.
  void Judge(const PacketStep& step, const PacketHarness::Left& left, Frames* made) {
    if (left.verdict == Verdict::kHeld) {
      EXPECT_TRUE(step.late) << "held: " << Hex(step.frame);
      wanted_late_.insert(wanted_late_.end(), step.out.begin(), step.out.end());
      return;
    }
    // Within a burst a fragment meets the decision that a first one behind it recorded.
    EXPECT_TRUE(!step.late || burst_size_ > 1) << "not held: " << Hex(step.frame);
    EXPECT_EQ(Words(left.verdict, left.reason), Words(step.verdict, step.reason))
        << "sent " << Hex(step.frame);
    const auto own = static_cast<Frames::difference_type>(LeavesItself(step) ? 1 : 0);
    if (own == 1 && !left.frame.empty()) {
      EXPECT_EQ(Hex(left.frame), Hex(step.out.front())) << "sent " << Hex(step.frame);
    }
    made->insert(made->end(), step.out.begin() + own, step.out.end());
  }

  void Take(const PacketHarness::Outcome& outcome) {
    for (const PacketHarness::Left& left : outcome.packets) {
      if (!left.frame.empty()) got_late_.push_back(left.frame);
    }
    got_late_.insert(got_late_.end(), outcome.made.begin(), outcome.made.end());
  }

  void JudgeCounters(const PacketHarness& harness) {
    PacketTotals wanted;
    for (const PacketStep& step : row_->steps) {
      ++wanted.rx_packets;
      wanted.tx_packets += step.out.size();
      wanted.generated += step.out.size();
      if (step.verdict == Verdict::kForward) --wanted.generated;
      if (step.verdict == Verdict::kToKernel) ++wanted.to_kernel;
      if (step.verdict == Verdict::kDrop) ++wanted.drops[static_cast<size_t>(step.reason)];
      if (step.verdict == Verdict::kReply) {
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
    const std::string message = empty ? "there is no row" : loaded.status().message();
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
