// How the worker handles mbufs for the pipeline: segments, trimming, made frames, waiting packets.
#include "dataplane/worker/buffers.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "dataplane/worker/batch.h"
#include "dataplane/worker/frames.h"
#include "tests/unit/worker/eal.h"

namespace fairlead {
namespace {

constexpr uint32_t kBuffers = 255;

rte_mempool* Pool() {
  static rte_mempool* const pool = NewPool("unit", kBuffers, 1024);
  return pool;
}

std::vector<uint8_t> Numbers(size_t count) {
  std::vector<uint8_t> bytes(count);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  return bytes;
}

// Returns a chain of segments of these lengths, filled as Numbers is.
rte_mbuf* Chain(std::initializer_list<uint16_t> lengths) {
  rte_mbuf* head = nullptr;
  uint8_t next = 0;
  for (const uint16_t length : lengths) {
    rte_mbuf* const segment = rte_pktmbuf_alloc(Pool());
    auto* const data = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(segment, length));
    for (uint16_t i = 0; i < length; ++i) data[i] = next++;
    if (head == nullptr) {
      head = segment;
    } else {
      EXPECT_EQ(rte_pktmbuf_chain(head, segment), 0);
    }
  }
  return head;
}

std::vector<uint8_t> BytesOf(const rte_mbuf* buffer) {
  std::vector<uint8_t> bytes(buffer->pkt_len);
  const void* read = rte_pktmbuf_read(buffer, 0, buffer->pkt_len, bytes.data());
  if (read != nullptr && read != bytes.data()) std::memcpy(bytes.data(), read, bytes.size());
  return bytes;
}

class BuffersTest : public ::testing::Test {
 protected:
  ~BuffersTest() override { EXPECT_EQ(rte_mempool_in_use_count(Pool()), 0u); }

  // Fills the burst with this one packet, whose verdict is forward.
  void Fill(rte_mbuf* buffer) {
    FillOne(buffer, 3, &burst_, 0);
    burst_.count = 1;
    burst_.verdict[0] = Verdict::kForward;
  }

  MbufSource source_{Pool()};
  Burst burst_;
};

TEST_F(BuffersTest, CopiesFromAfterTheFirstSegment) {
  rte_mbuf* const buffer = Chain({10, 5, 7, 3});
  const std::vector<uint8_t> all = Numbers(25);
  for (uint32_t offset = 0; offset < 15; ++offset) {
    for (uint32_t length = 0; offset + length <= 15; ++length) {
      std::vector<uint8_t> out(length);
      source_.CopyTail(buffer, offset, length, out.data());
      EXPECT_TRUE(std::equal(out.begin(), out.end(), all.begin() + 10 + offset));
    }
  }
  rte_pktmbuf_free(buffer);
}

// The pipeline can shorten a packet of three segments. What remains is sent. Unused segments are
// freed.
TEST_F(BuffersTest, TakesAFrameShortenedAtAnyByte) {
  for (uint32_t length = 1; length <= 30; ++length) {
    SCOPED_TRACE(length);
    Fill(Chain({10, 12, 8}));
    burst_.frame_length[0] = length;
    burst_.linear_length[0] = std::min(burst_.linear_length[0], length);
    rte_mbuf* const taken = TakeFrame(burst_, 0);
    EXPECT_EQ(BytesOf(taken), Numbers(length));
    EXPECT_EQ(taken->nb_segs, length <= 10 ? 1 : length <= 22 ? 2 : 3);
    EXPECT_EQ(rte_mbuf_check(taken, 1, nullptr), 0);
    EXPECT_EQ(rte_mempool_in_use_count(Pool()), taken->nb_segs);
    rte_pktmbuf_free(taken);
  }
}

TEST_F(BuffersTest, TakesAFrameThatGrewAtTheFront) {
  Fill(Chain({10, 12}));
  burst_.frame[0] -= 20;
  burst_.linear_length[0] += 20;
  burst_.frame_length[0] += 20;
  std::memset(burst_.frame[0], 0xee, 20);
  rte_mbuf* const taken = TakeFrame(burst_, 0);
  std::vector<uint8_t> expected(20, 0xee);
  const std::vector<uint8_t> rest = Numbers(22);
  expected.insert(expected.end(), rest.begin(), rest.end());
  EXPECT_EQ(BytesOf(taken), expected);
  rte_pktmbuf_free(taken);
}

TEST_F(BuffersTest, GathersSegmentsWhereTheFirstHasSpace) {
  Fill(Chain({10, 200, 300}));
  ASSERT_TRUE(source_.Gather(&burst_, 0));
  EXPECT_EQ(burst_.linear_length[0], 510u);
  EXPECT_EQ(std::vector<uint8_t>(burst_.frame[0], burst_.frame[0] + 510), Numbers(510));
  rte_pktmbuf_free(TakeFrame(burst_, 0));
  Fill(Chain({600, 600}));  // the first segment has only 1024 bytes
  EXPECT_FALSE(source_.Gather(&burst_, 0));
  EXPECT_EQ(burst_.linear_length[0], 600u);
  rte_pktmbuf_free(TakeFrame(burst_, 0));
}

TEST_F(BuffersTest, AllocatesBuffersUntilThePoolIsEmpty) {
  std::vector<MadeFrame> made(kBuffers + 1);
  uint32_t got = 0;
  while (source_.Allocate(52, 900, &made[got])) ++got;
  EXPECT_EQ(got, kBuffers);
  for (uint32_t i = 0; i < got; ++i) source_.Free(made[i].handle);
  // A frame that does not fit is refused, and its buffer is freed.
  EXPECT_FALSE(source_.Allocate(RTE_PKTMBUF_HEADROOM + 1, 10, made.data()));
  EXPECT_FALSE(source_.Allocate(0, 1025, made.data()));
  EXPECT_TRUE(source_.Allocate(RTE_PKTMBUF_HEADROOM, 1024, made.data()));
  source_.Free(made[0].handle);
}

TEST_F(BuffersTest, ResumesAHeldPacketUnchanged) {
  Fill(Chain({60, 40}));
  const uint64_t held = source_.Hold(burst_, 0);
  EXPECT_NE(held, 0u);
  Burst later;
  source_.Resume(held, &later, 5);
  EXPECT_EQ(later.ingress_port[5], 3);
  EXPECT_EQ(later.frame[5], burst_.frame[0]);
  EXPECT_EQ(later.linear_length[5], 60u);
  EXPECT_EQ(later.frame_length[5], 100u);
  EXPECT_EQ(later.headroom[5], RTE_PKTMBUF_HEADROOM);
  EXPECT_EQ(later.handle[5], burst_.handle[0]);
  rte_pktmbuf_free(static_cast<rte_mbuf*>(later.handle[5]));
}

// Some buffers of a burst are unusual. They must not affect the others.
TEST_F(BuffersTest, FillsABurstOfUsualAndUnusualBuffers) {
  std::vector<rte_mbuf*> buffers;
  for (int i = 0; i < 5; ++i) buffers.push_back(Chain({60}));
  buffers[1]->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_BAD;
  buffers[2]->ol_flags |= RTE_MBUF_F_RX_VLAN_STRIPPED | RTE_MBUF_F_RX_VLAN;
  buffers[2]->vlan_tci = 0x0123;
  buffers[3]->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_NONE;  // the NIC cannot tell, so it is not bad
  rte_pktmbuf_free(buffers[4]);
  buffers[4] = Chain({20, 300, 300});
  FillBurst(buffers.data(), 5, 2, {}, &burst_);
  ASSERT_EQ(burst_.count, 5u);
  for (uint32_t i = 0; i < 5; ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(burst_.ingress_port[i], 2);
    EXPECT_EQ(burst_.nic_bad_ip_checksum[i], i == 1);
    EXPECT_EQ(burst_.frame_length[i], i == 2 ? 64u : i == 4 ? 620u : 60u);
    EXPECT_EQ(burst_.linear_length[i], i == 4 ? kMaxHeaderBytes : burst_.frame_length[i]);
    EXPECT_EQ(burst_.headroom[i], RTE_PKTMBUF_HEADROOM - (i == 2 ? 4 : 0));
    EXPECT_EQ(burst_.tailroom[i], 1024u - (i == 2 ? 60 : burst_.linear_length[i]));
  }
  EXPECT_EQ(burst_.frame[2][12], 0x81);
  EXPECT_EQ(burst_.frame[2][15], 0x23);
  rte_pktmbuf_free_bulk(buffers.data(), 5);
}

// The frames are for another MAC. Each must pass once, in order, whatever the size of the batch.
TEST_F(BuffersTest, PassesABatchBurstByBurst) {
  WorkerCounters counters = WorkerCounters::Create().value();
  const std::vector<PortView> ports = {PortView::Make({{2, 0, 0, 0, 0, 1}}, {}, 1500)};
  PipelineContext context;
  context.ports = ports;
  context.counters = &counters;
  uint64_t received = 0;
  for (const uint32_t count : {1U, 31U, 32U, 33U, 64U, 100U, kMaxBatch}) {
    SCOPED_TRACE(count);
    std::vector<rte_mbuf*> buffers;
    for (uint32_t i = 0; i < count; ++i) buffers.push_back(Chain({60}));
    std::vector<void*> sent;
    std::vector<uint32_t> ahead;
    ProcessBatch(buffers.data(), count, 0, context, burst_, [&](const Burst& burst) {
      EXPECT_LE(burst.count, kMaxBurst);
      sent.insert(sent.end(), burst.handle, burst.handle + burst.count);
      ahead.push_back(context.next_burst.count);
    });
    EXPECT_TRUE(std::equal(sent.begin(), sent.end(), buffers.begin(), buffers.end()));
    for (size_t n = 0; n < ahead.size(); ++n) {
      EXPECT_EQ(ahead[n], std::min<size_t>(count - std::min<size_t>(count, (n + 1) * 32), 32));
    }
    received += count;
    EXPECT_EQ(counters.totals.rx_packets, received);
    rte_pktmbuf_free_bulk(buffers.data(), count);
  }
}

}  // namespace
}  // namespace fairlead
