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

PacketRows* rows = nullptr;
std::map<std::string, std::unique_ptr<PacketHarness>>* harnesses = nullptr;

std::string Hex(const uint8_t* bytes, size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
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

// The reply may grow into the room behind the frame; where it need not, there is none.
uint16_t TailroomFor(const PacketStep& step) {
  return step.out.size() > step.frame.size()
             ? static_cast<uint16_t>(step.out.size() - step.frame.size())
             : uint16_t{8};
}

void Judge(const PacketStep& step, const Burst& burst, uint32_t i) {
  EXPECT_EQ(Words(burst.verdict[i], burst.reason[i]), Words(step.verdict, step.reason))
      << Hex(step.frame.data(), step.frame.size());
  if (step.out.empty() ||
      (burst.verdict[i] != Verdict::kForward && burst.verdict[i] != Verdict::kReply)) {
    return;
  }
  EXPECT_EQ(burst.frame_length[i], step.out.size());
  const size_t linear = std::min<size_t>(burst.linear_length[i], step.out.size());
  EXPECT_EQ(Hex(burst.frame[i], linear), Hex(step.out.data(), linear))
      << "sent " << Hex(step.frame.data(), step.frame.size());
}

void JudgeCounters(const PacketRow& row, const PacketTotals& totals) {
  PacketTotals wanted;
  for (const PacketStep& step : row.steps) {
    ++wanted.rx_packets;
    if (step.verdict == Verdict::kToKernel) ++wanted.to_kernel;
    if (step.verdict == Verdict::kDrop) ++wanted.drops[static_cast<size_t>(step.reason)];
    if (step.verdict == Verdict::kReply) {
      ++wanted.generated;
      ++wanted.drops[static_cast<size_t>(DropReason::k_answered)];
    }
  }
  EXPECT_EQ(totals.rx_packets, wanted.rx_packets);
  EXPECT_EQ(totals.generated, wanted.generated);
  EXPECT_EQ(totals.to_kernel, wanted.to_kernel);
  for (size_t reason = 1; reason < kDropReasonCount; ++reason) {
    EXPECT_EQ(totals.drops[reason], wanted.drops[reason])
        << DropReasonName(static_cast<DropReason>(reason));
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
    JudgeCounters(*row_, harness->totals());
  }

 private:
  void RunBurst(PacketHarness* harness, size_t at) {
    const size_t end = std::min(row_->steps.size(), at + burst_size_);
    std::vector<std::unique_ptr<FrameBuffer>> buffers;
    Burst burst;
    for (size_t i = at; i < end; ++i) {
      const PacketStep& step = row_->steps[i];
      // A frame that is cut in two has nothing free behind its first part.
      const bool split = linear_length_ != 0 && linear_length_ < step.frame.size();
      buffers.push_back(std::make_unique<FrameBuffer>(step.frame, linear_length_,
                                                      split ? uint16_t{0} : TailroomFor(step)));
      buffers.back()->AddTo(&burst);
    }
    ProcessBurst(harness->context(), burst);
    for (size_t i = at; i < end; ++i) Judge(row_->steps[i], burst, static_cast<uint32_t>(i - at));
  }

  const PacketRow* row_;
  uint32_t burst_size_;
  uint32_t linear_length_;
};

void Register(const PacketRow& row, const char* suite, uint32_t burst_size,
              uint32_t linear_length = 0) {
  testing::RegisterTest(suite, (row.variant + "-" + row.name).c_str(), nullptr, nullptr, __FILE__,
                        __LINE__, [&row, burst_size, linear_length]() -> RowTest* {
                          return new RowTest(&row, burst_size, linear_length);
                        });
}

// True when every step is decided by headers, all of which a worker makes contiguous.
bool NeedsHeadersOnly(const PacketRow& row) {
  return std::all_of(row.steps.begin(), row.steps.end(),
                     [](const PacketStep& step) { return step.verdict == Verdict::kForward; });
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
    if (NeedsHeadersOnly(row)) Register(row, "RowInSegments", kMaxBurst, kMaxHeaderBytes);
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
