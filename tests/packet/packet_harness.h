// A worker without DPDK: one port, one worker's state and the tables of a variant, through which
// frames go burst by burst. For the replay of packet rows, the benchmark and the fuzzer of the
// pipeline.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/pipeline/pipeline.h"
#include "lib/base/result.h"
#include "lib/flow/fragment_map.h"
#include "lib/snapshot/builder.h"
#include "lib/table/departure.h"
#include "tests/packet/plain_buffers.h"

namespace fairlead {

// What services.yaml and dataplane.yaml say.
struct PacketVariant {
  SnapshotImage image;
  std::vector<MacAddress> macs;  // the port's own first
  EgressPort port;
  uint32_t replies_per_second = 1000;
  uint32_t icmp_errors_per_second = 1000;
};

class PacketHarness {
 public:
  static Result<std::unique_ptr<PacketHarness>> Create(const PacketVariant& variant);

  // Fresh records and fragments, full token buckets, counters at zero.
  void Reset();
  // The same of fragments alone.
  void ResetFragments();

  PipelineContext& context() { return context_; }
  PlainBuffers& buffers() { return *buffers_; }
  const PlainBuffers& buffers() const { return *buffers_; }
  const PacketTotals& totals() const { return counters_->totals; }
  const WorkerCounters& counters() const { return *counters_; }

  // One packet, or one frame that the pipeline made.
  struct Left {
    Verdict verdict = Verdict::kPending;
    DropReason reason = DropReason::kNone;
    std::vector<uint8_t> frame;  // what is sent; empty when nothing is
  };
  struct Outcome {
    std::vector<Left> packets;               // in the burst's order
    std::vector<std::vector<uint8_t>> made;  // frames
  };
  // Runs the burst through the pipeline, "sends" what is to be sent and gives all buffers back.
  Outcome Process(Burst* burst);
  // After ProcessBurst: gives all buffers back, those of fragments that wait too; sends nothing.
  void GiveBack(const Burst& burst);
  // Fragments that wait no longer; with `all`, every one.
  Outcome Release(bool all);

  // rx + generated = tx + sum(drops) + to_kernel. While fragments wait they are in none of these.
  bool IsConserved() const;

 private:
  static constexpr uint64_t kFlowRecords = 4096;
  static constexpr uint32_t kFragmentedDatagrams = 1024;

  explicit PacketHarness(const PacketVariant& variant) : variant_(variant) {}
  // Takes what the pipeline left of the burst.
  Outcome Collect(const Burst& burst);

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
  std::unique_ptr<PlainBuffers> buffers_;
  std::unique_ptr<FragmentMap> fragment_map_;
  std::unique_ptr<FragmentStore> fragments_;
  PipelineContext context_;
};

}  // namespace fairlead
