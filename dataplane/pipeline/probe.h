// Rewrites packets of health probes. A probe's packet is a packet of this host to a frontend's
// address, and already has its backend. So it skips the stages before Rewrite: it is looked up, but
// not hashed, and no flow is recorded. It leaves as a client's packet to that backend would.
//
// Worked example: 10.0.0.1:61007 -> 203.0.113.10:80, SYN, for backend 12 (10.0.0.11, gue). It gets
// an Ethernet header, then the backend's GUE headers, and leaves by the backend's egress port.
//
// One thread: it has its own counters, which belong to no statistics.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/pipeline/pipeline.h"

namespace fairlead {

class ProbeRewriter {
 public:
  // The largest IP packet that Rewrite accepts.
  static constexpr uint32_t kMaxPacketBytes = 2048;

  // `ports` must outlive this.
  static Result<ProbeRewriter> Create(std::span<const PortView> ports);

  struct Frame {
    std::span<const uint8_t> bytes;  // valid until the next call
    uint16_t egress_port = 0;
  };

  // `packet`: from its IP header on. Returns kNone and fills `frame`, or the drop reason.
  // no_frontend: no frontend of the tables has its destination. no_backend: the backend is not one
  // of the frontend's service. A packet that is too big for the egress port is dropped.
  DropReason Rewrite(const ForwardingTables& tables, uint32_t backend_id,
                     std::span<const uint8_t> packet, Frame* frame);

 private:
  static constexpr uint32_t kHeadroom = 256;
  ProbeRewriter(std::span<const PortView> ports, WorkerCounters counters);
  // Makes the Ethernet frame in buffer_, and fills the burst with it.
  void Load(std::span<const uint8_t> packet);
  // The port that has the packet's source address; 0 if none has.
  uint16_t PortOf(const IpAddress& source) const;

  std::span<const PortView> ports_;
  std::unique_ptr<WorkerCounters> counters_;
  std::unique_ptr<Burst> burst_;
  PipelineContext context_;
  std::vector<uint8_t> buffer_;
};

}  // namespace fairlead
