// A worker without DPDK: one port, one worker's state and the tables of a variant. It processes
// frames in bursts. The replay of packet rows, the benchmark and the fuzzer of the pipeline use it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/pipeline/pipeline.h"
#include "lib/base/result.h"
#include "lib/flow/fragment_map.h"
#include "lib/snapshot/builder.h"
#include "lib/table/egress_path.h"
#include "tests/packet/plain_buffers.h"

namespace fairlead {

// A configuration, as from services.yaml and dataplane.yaml.
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

  // Empties the flow table and the fragment store, fills the token buckets, zeroes the counters.
  void Reset();
  // Empties only the fragment store.
  void ResetFragments();

  PipelineContext& context() { return context_; }
  PlainBuffers& buffers() { return *buffers_; }
  const PlainBuffers& buffers() const { return *buffers_; }
  const PacketTotals& totals() const { return counters_->totals; }
  const WorkerCounters& counters() const { return *counters_; }

  // One packet, or one frame that the pipeline made.
  struct PacketFate {
    Verdict verdict = Verdict::kPending;
    DropReason reason = DropReason::kNone;
    std::vector<uint8_t> frame;  // the frame that is sent, or empty
  };
  struct Outcome {
    std::vector<PacketFate> packets;         // in the burst's order
    std::vector<std::vector<uint8_t>> made;  // made frames
  };
  // Runs the burst through the pipeline, counts and copies the frames to send, and frees all
  // buffers except those of fragments that wait.
  Outcome Process(Burst* burst);
  // After ProcessBurst: frees all buffers, also those of fragments that wait. Sends nothing.
  void FreeBuffers(const Burst& burst);
  // Releases the fragments that need not wait any more; with `all`, all that wait.
  Outcome Release(bool all);

  // rx + generated = tx + sum(drops) + to_kernel. Fragments that wait are in none of these counts.
  bool IsConserved() const;

 private:
  static constexpr uint64_t kFlowRecords = 4096;
  static constexpr uint32_t kFragmentedDatagrams = 1024;

  explicit PacketHarness(const PacketVariant& variant) : variant_(variant) {}
  // Collects the burst's frames after the pipeline, and frees their buffers.
  Outcome Collect(const Burst& burst);

  PacketVariant variant_;
  std::vector<PortView> ports_;
  std::unique_ptr<CounterIndices> backend_indices_;
  std::unique_ptr<CounterIndices> service_indices_;
  std::unique_ptr<ForwardingTables> tables_;
  struct Free {
    void operator()(void* memory) const;
  };
  std::unique_ptr<void, Free> flow_memory_;
  std::unique_ptr<FlowTable> flows_;
  std::unique_ptr<WorkerCounters> counters_;
  HandshakeTable handshakes_;
  std::unique_ptr<PlainBuffers> buffers_;
  std::unique_ptr<FragmentMap> fragment_map_;
  std::unique_ptr<FragmentStore> fragments_;
  PipelineContext context_;
};

}  // namespace fairlead
