// The packet rows (rows.py) in C++: loaded from export_rows.py, and the surroundings that a row
// needs to go through ProcessBurst. For the pipeline test and the benchmark; no EAL.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/pipeline/pipeline.h"
#include "lib/base/result.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

struct PacketStep {
  std::vector<uint8_t> frame;
  Verdict verdict = Verdict::kPending;
  DropReason reason = DropReason::kNone;
  std::vector<uint8_t> out;  // what must leave; empty for drops and to_kernel
};

struct PacketRow {
  std::string name;
  std::string rule;
  std::string variant;
  std::vector<PacketStep> steps;
};

struct PacketVariant {
  SnapshotImage image;
  std::vector<MacAddress> macs;
  uint16_t mtu = 1500;
  uint32_t replies_per_second = 1000;
};

struct PacketRows {
  std::map<std::string, PacketVariant> variants;
  std::vector<PacketRow> rows;
};

// Runs export_rows.py (about five seconds) or, when the environment names a file in
// FAIRLEAD_ROWS, reads what it wrote there.
Result<PacketRows> LoadPacketRows();

// One port, one worker's state, and the tables of a variant.
class PacketHarness {
 public:
  static Result<std::unique_ptr<PacketHarness>> Create(const PacketVariant& variant);

  PipelineContext& context() { return context_; }
  const PacketTotals& totals() const { return counters_->totals; }
  // Fresh records, full token bucket, counters at zero.
  void Reset();

 private:
  static constexpr uint64_t kFlowRecords = 4096;

  explicit PacketHarness(const PacketVariant& variant) : variant_(variant) {}

  PacketVariant variant_;
  std::vector<PortView> ports_;
  std::unique_ptr<CounterSlots> backend_slots_;
  std::unique_ptr<CounterSlots> service_slots_;
  std::unique_ptr<ForwardingTables> tables_;
  struct Free {
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Free> flow_memory_;
  std::unique_ptr<FlowTable> flows_;
  std::unique_ptr<WorkerCounters> counters_;
  PipelineContext context_;
};

// One frame in memory of its own, with the room that a worker's buffer has. Nothing but the frame
// and that room may be touched: AddressSanitizer sees the rest.
class FrameBuffer {
 public:
  // `linear_length`: as many bytes are contiguous; 0 = all. `tailroom`: free bytes behind them.
  FrameBuffer(const std::vector<uint8_t>& frame, uint32_t linear_length, uint16_t tailroom);

  void AddTo(Burst* burst) const;

  static constexpr uint16_t kHeadroom = 128;

 private:
  uint32_t linear_length_;
  uint32_t frame_length_;
  uint16_t tailroom_;
  std::unique_ptr<uint8_t[]> memory_;
};

}  // namespace fairlead
