// The egress port of packets to backends, and their counters.
#pragma once

#include <cstdint>

#include "dataplane/pipeline/pipeline.h"

namespace fairlead {

inline uint16_t EgressPortOf(const Burst& burst, uint32_t i, const BackendEntry& backend) {
  return backend.egress_port == kIngressPort ? burst.ingress_port[i] : backend.egress_port;
}

// Counts forwarded packets. Adds up consecutive packets of one service before it writes the
// service's counters.
class ForwardTally {
 public:
  explicit ForwardTally(const PipelineContext& context)
      : counters_(context.counters),
        backends_(&context.counters->backend(0)),
        services_(context.tables->services().data()) {}
  ~ForwardTally() { Flush(); }
  ForwardTally(const ForwardTally&) = delete;
  ForwardTally& operator=(const ForwardTally&) = delete;

  void Forwarded(uint32_t service, const BackendEntry& backend, uint64_t bytes) {
    if (service != service_) {
      Flush();
      service_ = service;
    }
    ++packets_;
    bytes_ += bytes;
    BackendCounters& counters = backends_[backend.counter_index];
    Add(&counters.packets, 1);
    Add(&counters.bytes, bytes);
  }

 private:
  void Flush() {
    if (packets_ == 0) return;
    ServiceCounters& counters = counters_->service(services_[service_].counter_index);
    Add(&counters.packets, packets_);
    Add(&counters.bytes, bytes_);
    packets_ = bytes_ = 0;
  }

  WorkerCounters* counters_;
  BackendCounters* backends_;  // the whole array
  const ServiceEntry* services_;
  uint32_t service_ = kNoService;
  uint64_t packets_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace fairlead
