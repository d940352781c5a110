#include "dataplane/worker/worker.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include "dataplane/worker/batch.h"
#include "dataplane/worker/frames.h"
#include "dataplane/worker/idle.h"

namespace fairlead {
namespace {

// DPDK's guide asks for TxQueue::Poll at least every 100 ms, ExpireHandshakes every 50 ms.
constexpr uint64_t kTimersPerSecond = 50;

}  // namespace

Result<std::unique_ptr<Worker>> Worker::Create(uint32_t index, WorkerShared* shared) {
  ASSIGN_OR_RETURN(WorkerCounters counters, WorkerCounters::Create());
  return std::unique_ptr<Worker>(new Worker(index, shared, std::move(counters)));
}

Worker::Worker(uint32_t index, WorkerShared* shared, WorkerCounters counters)
    : index_(index),
      shared_(shared),
      counters_(std::move(counters)),
      buffers_(shared->pool),
      fragments_(shared->fragments, FragmentStoreSettings{.max_per_round = kMaxBatch}),
      kernel_path_(index, shared->queues, shared->taps, shared->pool, rte_get_tsc_hz()) {
  for (uint16_t port = 0; port < shared->queues.size(); ++port) {
    const PortQueues& queues = shared->queues[port];
    outboxes_.push_back({.queue = queues.TxQueueOf(index)});
    if (queues.needs_tx_polls && index == queues.receiver) {
      polled_.push_back(queues.TxQueueOf(index));
    }
    if (queues.is_receive_queue_each) {
      inlets_.push_back({port, queues.port_id, static_cast<uint16_t>(index)});
    } else if (index == queues.receiver) {
      inlets_.push_back({port, queues.port_id, 0, nullptr, queues.spreader});
    } else if (queues.spreader != nullptr) {
      inlets_.push_back({port, queues.port_id, 0, queues.spreader, nullptr});
    }
  }
  context_.flows = shared->flows;
  context_.ports = shared->ports;
  context_.counters = &counters_;
  context_.echo_replies = TokenBucket(shared->replies_per_second, shared->replies_per_second);
  context_.neighbour_replies = context_.echo_replies;
  context_.icmp_errors =
      TokenBucket(shared->icmp_errors_per_second, shared->icmp_errors_per_second);
  context_.resets = TokenBucket(shared->resets_per_second, shared->resets_per_second);
  context_.fragments = &fragments_;
  context_.buffers = &buffers_;
  context_.handshakes = &handshakes_;
}

void Worker::Run() {
  Idler::PrepareThread();
  Idler idler(shared_->idle, rte_get_tsc_hz());
  shared_->rcu->Enter(index_);
  while (!shared_->stop.load(std::memory_order_relaxed)) {
    // Here the worker holds no pointer into the tables, so old tables may be freed.
    shared_->rcu->Quiescent(index_);
    context_.tables = shared_->tables.load(std::memory_order_acquire);
    const uint64_t now_tsc = rte_rdtsc();
    activity_.Polls(now_tsc);
    if (index_ == 0 && shared_->management_frames != nullptr &&
        !shared_->management_frames->empty()) [[unlikely]]
      SendManagementFrames();
    if (now_tsc >= next_timers_tsc_) [[unlikely]]
      RunTimers(now_tsc);
    if (ServePorts(now_tsc) != 0) {
      idler.Busy(now_tsc);
    } else {
      idler.Wait(now_tsc);
    }
  }
  ReleaseHeld(true);
  context_.tables = nullptr;
  shared_->rcu->Leave(index_);
}

uint32_t Worker::Receive(const Inlet& inlet, rte_mbuf** buffers) {
  if (inlet.from == nullptr) [[likely]]
    return rte_eth_rx_burst(inlet.port_id, inlet.queue, buffers, kMaxBatch);
  return inlet.from->Take(index_, buffers, kMaxBatch);
}

uint32_t Worker::ServePorts(uint64_t now_tsc) {
  uint32_t found = 0;
  for (const Inlet& inlet : inlets_) {
    rte_mbuf* buffers[kMaxBatch];
    uint32_t count = Receive(inlet, buffers);
    if (count == 0) continue;
    if (found == 0) {
      SetContextTime(now_tsc);
      activity_.Found(now_tsc);
    }
    found += count;
    if (inlet.to != nullptr) [[unlikely]]
      count = inlet.to->PassOn(buffers, count, &counters_);
    // ProcessBurst for up to 32 packets at a time, then Dispatch.
    ProcessBatch(buffers, count, inlet.port_index, context_, burst_,
                 [this](const Burst&) { Dispatch(); });
    if (!fragments_.empty()) [[unlikely]]
      ReleaseHeld(false);
  }
  if (found == 0) {
    activity_.FoundNothing(now_tsc);
    if (!fragments_.empty()) {
      SetContextTime(now_tsc);
      ReleaseHeld(false);
    }
  }
  return found + kernel_path_.Poll(now_tsc);
}

void Worker::SetContextTime(uint64_t now_tsc) {
  context_.now_us = shared_->clock.Microseconds(now_tsc);
  context_.now_tick = TscClock::Tick(context_.now_us);
}

void Worker::SendManagementFrames() {
  rte_mbuf* buffers[kMaxBurst];
  const uint32_t count = shared_->management_frames->Take(buffers, kMaxBurst);
  Add(&counters_.totals.generated, count);
  for (uint32_t i = 0; i < count; ++i) Enqueue(buffers[i]->port, buffers[i], kNoService);
  for (uint32_t port = 0; port < outboxes_.size(); ++port) {
    if (outboxes_[port].count != 0) Flush(port);
  }
}

void Worker::RunTimers(uint64_t now_tsc) {
  next_timers_tsc_ = now_tsc + rte_get_tsc_hz() / kTimersPerSecond;
  for (TxQueue& queue : polled_) queue.Poll();
  if (handshakes_.waiting() == 0) return;
  SetContextTime(now_tsc);
  ExpireHandshakes(context_);
}

void Worker::ReleaseHeld(bool all) {
  while (!fragments_.empty()) {
    const uint32_t count = ReleaseFragments(context_, burst_, all);
    Dispatch();
    if (count < kMaxBurst && !all) return;
  }
}

void Worker::Enqueue(uint16_t port_index, rte_mbuf* buffer, uint32_t service) {
  Outbox& outbox = outboxes_[port_index];
  if (outbox.count == kMaxBurst) Flush(port_index);
  outbox.services[outbox.count] = service;
  outbox.buffers[outbox.count++] = buffer;
}

void Worker::Dispatch() {
  rte_mbuf* done[kMaxBurst];
  uint32_t done_count = 0;
  for (uint32_t i = 0; i < burst_.count; ++i) {
    const Verdict verdict = burst_.verdict[i];
    if (verdict == Verdict::kForward || verdict == Verdict::kAnswer) {
      Enqueue(burst_.egress_port[i], TakeFrame(burst_, i),
              verdict == Verdict::kForward ? burst_.service[i] : kNoService);
    } else if (verdict == Verdict::kToKernel && kernel_path_.Takes(burst_.ingress_port[i])) {
      kernel_path_.Enqueue(burst_.ingress_port[i], TakeFrame(burst_, i));
    } else if (verdict != Verdict::kHeld) {
      // Dropped, or for the kernel, but the port has no path to it.
      done[done_count++] = static_cast<rte_mbuf*>(burst_.handle[i]);
    }
  }
  for (uint32_t n = 0; n < burst_.made_count; ++n) {
    const MadeFrame& made = burst_.made[n];
    auto* const buffer = static_cast<rte_mbuf*>(made.handle);
    buffer->data_off = static_cast<uint16_t>(made.frame - static_cast<uint8_t*>(buffer->buf_addr));
    buffer->data_len = static_cast<uint16_t>(made.length);
    buffer->pkt_len = made.length;
    Enqueue(made.egress_port, buffer, made.service);
  }
  kernel_path_.Flush();
  if (done_count != 0) rte_pktmbuf_free_bulk(done, done_count);
  for (uint32_t port = 0; port < outboxes_.size(); ++port) {
    if (outboxes_[port].count != 0) Flush(port);
  }
}

void Worker::Flush(uint32_t port_index) {
  Outbox& outbox = outboxes_[port_index];
  // The driver owns buffers that it has accepted, so their lengths are read first.
  uint32_t lengths[kMaxBurst];
  for (uint32_t i = 0; i < outbox.count; ++i) lengths[i] = outbox.buffers[i]->pkt_len;

  const uint32_t sent = outbox.queue.Send(outbox.buffers, outbox.count);
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < sent; ++i) bytes += lengths[i];
  CountSent(&counters_, sent, bytes);
  if (sent < outbox.count) [[unlikely]] {
    const uint32_t unsent = outbox.count - sent;
    rte_pktmbuf_free_bulk(outbox.buffers + sent, unsent);
    CountUnsent(&counters_, unsent);
    for (uint32_t i = sent; i < outbox.count; ++i) {
      if (outbox.services[i] == kNoService) continue;
      const ServiceEntry& service = context_.tables->services()[outbox.services[i]];
      Add(&counters_.service(service.counter_index).drops, 1);
    }
  }
  outbox.count = 0;
}

}  // namespace fairlead
