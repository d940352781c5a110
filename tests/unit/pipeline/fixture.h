// Sends frames through the real stages, without DPDK. Each frame's buffer is a heap block, so that
// ASan detects an access outside it. The conservation law is checked after every burst.
//
// Port 0 "wan" is 02:00:00:00:00:01 (slow::Ethernet sends to it), has 192.0.2.1, 2001:db8:f::1 and
// the gateway 02:00:00:00:00:fe; port 1 "lan" is 02:00:00:00:00:a1 with MTU 1400, 10.0.0.254 and
// 2001:db8:a::fe. Backend 10.0.0.N (and 2001:db8:a::N) has MAC 02:00:00:00:01:N.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/pipeline/pipeline.h"
#include "lib/net/headers.h"
#include "tests/unit/flow/table_memory.h"
#include "tests/unit/pipeline/memory_buffers.h"
#include "tests/unit/slow_packet.h"
#include "tests/unit/table/tables.h"

namespace fairlead::testing {

using slow::Bytes;
using slow::operator+;

constexpr uint16_t kHeadroom = 128;
constexpr uint16_t kTailroom = 64;

// One frame in its buffer.
struct Buffer {
  explicit Buffer(const Bytes& frame, uint16_t headroom = kHeadroom, uint16_t tailroom = kTailroom)
      : memory(headroom + frame.size() + tailroom),
        headroom_bytes(headroom),
        tailroom_bytes(tailroom),
        length(static_cast<uint32_t>(frame.size())) {
    std::copy(frame.begin(), frame.end(), memory.begin() + headroom);
  }
  // The same with all but the first `linear` bytes in another segment.
  static Buffer Split(const Bytes& frame, size_t linear) {
    Buffer buffer(slow::Slice(frame, 0, linear), kHeadroom, 0);
    buffer.tail = slow::Slice(frame, linear, frame.size() - linear);
    return buffer;
  }
  Bytes memory;
  Tail tail = {};
  uint16_t headroom_bytes;
  uint16_t tailroom_bytes;
  uint32_t length;
};

// The result of one packet.
struct PacketResult {
  Verdict verdict;
  DropReason reason;
  uint16_t egress_port;
  Bytes frame;  // as it would leave
};

struct Made {
  uint16_t egress_port;
  Bytes frame;
};

class PipelineFixture : public TablesFixture {
 protected:
  PipelineFixture() {
    ports_[0].mac = Mac("02:00:00:00:00:01");
    ports_[0].gateway = Mac("02:00:00:00:00:fe");
    const MacAddress extra[] = {Mac("02:00:00:00:00:77")};
    views_ = {PortView::Make(ports_[0].mac, extra, ports_[0].mtu, ports_[0].addresses),
              PortView::Make(ports_[1].mac, {}, ports_[1].mtu, ports_[1].addresses)};
    context_.fragments = &fragments_;
    context_.buffers = &buffers_;
    context_.ports = views_;
    context_.flows = &flows_;
    context_.counters = &counters_;
    context_.handshakes = &handshakes_;
    context_.now_tick = 1000;
    context_.now_us = 250'000'000;
  }

  static MacAddress Mac(const std::string& text) { return MacAddress::Parse(text).value(); }

  // A backend "10.0.0.N" with id `id` whose next hop is known.
  static SnapshotBackend Resolved(uint32_t id, int n, const std::string& interface = "",
                                  uint16_t vlan = 0) {
    return ResolvedAt("10.0.0." + std::to_string(n), id, n, interface, vlan);
  }
  // The same with any endpoint.
  static SnapshotBackend ResolvedAt(const std::string& endpoint, uint32_t id, int n,
                                    const std::string& interface = "", uint16_t vlan = 0) {
    SnapshotBackend backend = MakeBackend(id, endpoint);
    SnapshotNextHop hop;
    hop.mac = {{2, 0, 0, 0, 1, static_cast<uint8_t>(n)}};
    hop.interface = interface;
    hop.vlan = vlan;
    backend.next_hop = hop;
    return backend;
  }

  void Use(const SnapshotInput& input) {
    Publish(input);
    context_.tables = tables_.get();
  }

  // Processes up to kMaxBurst buffers as one burst that was received at `port`.
  std::vector<PacketResult> Process(std::vector<Buffer>& buffers, uint16_t port = 0) {
    EXPECT_LE(buffers.size(), kMaxBurst);
    burst_.count = static_cast<uint32_t>(buffers.size());
    for (uint32_t i = 0; i < burst_.count; ++i) {
      Buffer& buffer = buffers[i];
      burst_.frame[i] = buffer.memory.data() + buffer.headroom_bytes;
      burst_.linear_length[i] = buffer.length;
      burst_.frame_length[i] = buffer.length + static_cast<uint32_t>(buffer.tail.size());
      burst_.headroom[i] = buffer.headroom_bytes;
      burst_.tailroom[i] = buffer.tailroom_bytes;
      burst_.ingress_port[i] = port;
      burst_.nic_bad_ip_checksum[i] = nic_bad_ip_checksum_;
      burst_.handle[i] = buffer.tail.empty() ? nullptr : &buffer.tail;
    }
    ProcessBurst(context_, burst_);
    return CollectResults();
  }
  // Processes fragments that no longer wait, at most one burst.
  std::vector<PacketResult> Release(bool all = false) {
    held_ -= ReleaseFragments(context_, burst_, all);
    return CollectResults();
  }
  PacketResult Process(const Bytes& frame, uint16_t port = 0) {
    std::vector<Buffer> buffers = {Buffer(frame)};
    return Process(buffers, port)[0];
  }

  uint64_t Drops(DropReason reason) const {
    return counters_.totals.drops[static_cast<size_t>(reason)];
  }
  const BackendCounters& CountersOf(uint32_t backend_id) const {
    return counters_.backend(tables_->FindBackend(backend_id)->counter_index);
  }
  const ServiceCounters& CountersOf(const std::string& service) const {
    for (const ServiceEntry& entry : tables_->services()) {
      if (entry.name == service) return counters_.service(entry.counter_index);
    }
    ADD_FAILURE() << "no service " << service;
    return counters_.service(0);
  }

  TableMemory memory_{FlowTable::BytesNeeded(4096)};
  FlowTable flows_ = FlowTable::Format(memory_.bytes(), 4096);
  std::vector<PortView> views_;
  WorkerCounters counters_ = WorkerCounters::Create().value();
  HandshakeTable handshakes_;
  PipelineContext context_;
  Burst burst_;
  MemoryBuffers buffers_;
  FragmentMap fragment_map_{1024, 99};
  FragmentStore fragments_{&fragment_map_, FragmentStoreSettings()};
  std::vector<Made> made_;  // of the last burst
  bool nic_bad_ip_checksum_ = false;
  uint64_t leaving_ = 0;  // packets that a worker would have sent
  uint64_t held_ = 0;     // fragments that wait

 private:
  std::vector<PacketResult> CollectResults() {
    std::vector<PacketResult> fates;
    for (uint32_t i = 0; i < burst_.count; ++i) {
      const Verdict verdict = burst_.verdict[i];
      leaving_ += verdict == Verdict::kForward || verdict == Verdict::kAnswer ? 1 : 0;
      held_ += verdict == Verdict::kHeld ? 1 : 0;
      EXPECT_EQ(verdict == Verdict::kDrop, burst_.reason[i] != DropReason::kNone);
      fates.push_back({verdict, burst_.reason[i], burst_.egress_port[i], WholeFrame(i)});
    }
    leaving_ += burst_.made_count;
    EXPECT_EQ(buffers_.in_use(), burst_.made_count);
    made_.clear();
    for (uint32_t n = 0; n < burst_.made_count; ++n) {
      const MadeFrame& frame = burst_.made[n];
      made_.push_back({frame.egress_port, Bytes(frame.frame, frame.frame + frame.length)});
    }
    buffers_.TakeBack();
    ExpectConservation();
    return fates;
  }

  // All segments of the frame, without the bytes behind frame_length (TakeFrame removes them).
  Bytes WholeFrame(uint32_t i) const {
    Bytes frame(burst_.frame[i], burst_.frame[i] + burst_.linear_length[i]);
    if (burst_.frame_length[i] > frame.size()) {
      const auto& tail = *static_cast<const Tail*>(burst_.handle[i]);
      frame = frame + slow::Slice(tail, 0, burst_.frame_length[i] - frame.size());
    }
    return frame;
  }

  // rx + generated = tx + sum(drops) + to_kernel + waiting fragments
  void ExpectConservation() const {
    const PacketTotals& totals = counters_.totals;
    uint64_t drops = 0;
    for (const uint64_t count : totals.drops) drops += count;
    EXPECT_EQ(totals.rx_packets + totals.generated, leaving_ + drops + totals.to_kernel + held_);
  }
};

}  // namespace fairlead::testing
