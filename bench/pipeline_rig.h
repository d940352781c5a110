// Tables, context and real mbufs for one setting of the pipeline bench, and its timed batch.
//
//   Setting -> snapshot image -> ForwardingTables       (the same code as in the dataplane)
//           -> frames in mbufs of a pool on huge pages  (transparent ones, if available)
//   RunBatch: FillBurst, ProcessBurst, TakeFrame on as many packets as one poll of a queue finds.
//   Then the buffers become incoming frames of the next flows, which is not timed.
//
// Frames are TCP: an ACK of an established flow, or, for a SYN flood, a SYN of a flow never seen.
// Backends are IPv4 hosts, except nat's backends for IPv6 clients.
// Flow f is client 11.0.0.0 + f/16, port 1024 + f%16, of service f % services.
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/manage/flow_memory.h"
#include "dataplane/pipeline/pipeline.h"
#include "dataplane/worker/batch.h"
#include "lib/snapshot/builder.h"

namespace fairlead::bench {

struct Setting {
  bool ipv6 = false;
  ForwardingMode mode = ForwardingMode::kDsr;
  Tracking tracking = Tracking::kAdaptive;
  uint32_t frame_bytes = 64;  // on the wire, frame check sequence included
  uint32_t flows = 1'000'000;
  uint32_t backends = 1000;  // of each service
  uint32_t services = 1;
  uint32_t buffers = 131'072;
  uint32_t received = kMaxBatch;  // packets that one poll of the queue finds, at most `buffers`
  uint32_t shifting_percent = 0;  // of the slots
  bool syn_flood = false;
  bool observe = false;  // follow handshakes (outlier: observe)

  // "v4/dsr/observe/none/..." with `observe`. Else
  // "v4/dsr/adaptive/64B/flows:1000000/backends:1000/services:1/buffers:131072", then unusual
  // values.
  std::string Name() const;
};

// Starts EAL, and makes the pool that all rigs use. False if EAL does not start or memory is
// missing.
bool StartEal();

class Rig {
 public:
  explicit Rig(const Setting& setting);
  ~Rig();
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  // Sends every flow once, so that flows that need a record get one. Checks every 61st flow.
  // Returns what is wrong, or "".
  std::string WarmUpAndCheck();

  // Packets that RunBatch takes.
  uint32_t batch() const { return std::min(setting_.received, setting_.buffers); }
  // Runs one batch. Returns the TSC cycles that it took.
  uint64_t RunBatch();

  // Packets so far that were not forwarded.
  uint64_t not_forwarded() const;

 private:
  uint8_t* FrameOf(uint32_t buffer) { return rte_pktmbuf_mtod(buffers_[buffer], uint8_t*); }
  static void TakeFrames(const Burst& burst);
  void BuildTables();
  void TakeBuffers();
  void SetFlow(uint32_t buffer, uint32_t flow);
  void Prepare(uint32_t first);
  std::string CheckPacket(uint32_t i) const;
  std::string CheckTunnel(const uint8_t* ip, const BackendEntry& backend) const;
  std::string CheckTranslated(const uint8_t* ip, const BackendEntry& backend) const;

  Setting setting_;
  uint64_t flow_records_;
  FlowMemory memory_;
  FlowTable flows_;
  WorkerCounters counters_;
  HandshakeTable handshakes_;
  std::vector<uint8_t> frame_;  // an incoming frame, without the flow
  uint32_t header_bytes_ = 0;   // at its front, which the pipeline may change
  CounterIndices backend_indices_{kMaxBackendCounters};
  CounterIndices service_indices_{kMaxServiceCounters};
  std::unique_ptr<ForwardingTables> tables_;
  std::vector<PortView> views_;
  PipelineContext context_;
  Burst burst_;
  std::vector<rte_mbuf*> buffers_;
  uint32_t next_buffer_ = 0;
  uint32_t next_flow_ = 0;
};

}  // namespace fairlead::bench
