#include "dataplane/worker/spreader.h"

#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/net/frame_builder.h"
#include "tests/unit/worker/eal.h"

namespace fairlead {
namespace {

using testing::Bytes;

rte_mempool* SpreadPool() {
  static rte_mempool* const pool = NewPool("spread", 4095, 256);
  return pool;
}

// A UDP packet of the flow with this source port. Its payload is `number`.
rte_mbuf* Packet(uint32_t port, uint32_t number) {
  Bytes payload(sizeof(number));
  std::memcpy(payload.data(), &number, sizeof(number));
  const Bytes frame = testing::Ethernet(
      0x0800, testing::Ipv4(testing::Udp({.source_port = port}, payload), {.protocol = 17}));
  rte_mbuf* const buffer = rte_pktmbuf_alloc(SpreadPool());
  std::memcpy(rte_pktmbuf_append(buffer, static_cast<uint16_t>(frame.size())), frame.data(),
              frame.size());
  return buffer;
}

uint32_t PortOf(const rte_mbuf* buffer) {
  const auto* const frame = rte_pktmbuf_mtod(buffer, const uint8_t*);
  return uint32_t{frame[34]} << 8 | frame[35];
}

uint32_t NumberOf(const rte_mbuf* buffer) {
  uint32_t number = 0;
  std::memcpy(&number, rte_pktmbuf_mtod_offset(buffer, const uint8_t*, 42), sizeof(number));
  return number;
}

class SpreaderTest : public ::testing::Test {
 protected:
  ~SpreaderTest() override {
    spreader_.reset();
    EXPECT_EQ(rte_mempool_in_use_count(SpreadPool()), 0U);
  }

  void Create(uint32_t receiver, uint32_t workers) {
    receiver_ = receiver;
    workers_ = workers;
    spreader_ = *Spreader::Create(/*port_index=*/3, receiver, workers, /*seed=*/1);
  }

  // The receiver gets these packets. Returns its own share.
  std::vector<rte_mbuf*> PassOn(std::vector<rte_mbuf*> buffers) {
    buffers.resize(
        spreader_->PassOn(buffers.data(), static_cast<uint32_t>(buffers.size()), &counters_));
    return buffers;
  }

  std::vector<rte_mbuf*> Take(uint32_t worker) {
    rte_mbuf* buffers[kMaxBatch];
    std::vector<rte_mbuf*> all;
    while (const uint32_t count = spreader_->Take(worker, buffers, kMaxBatch)) {
      all.insert(all.end(), buffers, buffers + count);
    }
    return all;
  }

  // A source port whose flow another worker than the receiver gets. REQUIRES two workers.
  uint32_t PortOfOther() {
    for (uint32_t port = 1000;; ++port) {
      const std::vector<rte_mbuf*> own = PassOn({Packet(port, 0)});
      const std::vector<rte_mbuf*> passed = Take(1 - receiver_);
      Free(own);
      Free(passed);
      if (!passed.empty()) return port;
    }
  }

  static void Free(const std::vector<rte_mbuf*>& buffers) {
    for (rte_mbuf* const buffer : buffers) rte_pktmbuf_free(buffer);
  }

  uint64_t drops() const {
    return counters_.totals.drops[static_cast<size_t>(DropReason::k_spread_full)];
  }

  uint32_t receiver_ = 0;
  uint32_t workers_ = 0;
  std::unique_ptr<Spreader> spreader_;
  WorkerCounters counters_ = *WorkerCounters::Create();
};

TEST_F(SpreaderTest, GivesEachFlowToOneWorkerInOrder) {
  for (const uint32_t receiver : {0U, 2U}) {
    spreader_.reset();
    Create(receiver, 3);
    std::map<uint32_t, uint32_t> worker_of_port;
    std::map<uint32_t, uint32_t> last_of_port;
    std::map<uint32_t, uint32_t> packets_of_worker;
    uint32_t number = 0;
    for (int batch = 0; batch < 20; ++batch) {
      std::vector<rte_mbuf*> buffers;
      for (uint32_t i = 0; i < kMaxBatch; ++i) {
        buffers.push_back(Packet(2000 + number * 7 % 31, number + 1));
        ++number;
      }
      const std::vector<rte_mbuf*> own = PassOn(buffers);
      for (uint32_t worker = 0; worker < workers_; ++worker) {
        const std::vector<rte_mbuf*> got = worker == receiver ? own : Take(worker);
        for (const rte_mbuf* const buffer : got) {
          const uint32_t port = PortOf(buffer);
          EXPECT_EQ(worker_of_port.try_emplace(port, worker).first->second, worker);
          EXPECT_GT(NumberOf(buffer), last_of_port[port]);
          last_of_port[port] = NumberOf(buffer);
          ++packets_of_worker[worker];
        }
        Free(got);
      }
    }
    EXPECT_EQ(worker_of_port.size(), 31U);
    EXPECT_EQ(packets_of_worker.size(), 3U);
    EXPECT_EQ(packets_of_worker[0] + packets_of_worker[1] + packets_of_worker[2], number);
  }
  EXPECT_EQ(drops(), 0U);
  EXPECT_EQ(counters_.totals.rx_packets, 0U);  // counted where packets are processed
}

TEST_F(SpreaderTest, KeepsFramesWithoutAFlow) {
  Create(1, 2);
  rte_mbuf* const buffer = rte_pktmbuf_alloc(SpreadPool());
  rte_pktmbuf_append(buffer, 60);
  std::memset(rte_pktmbuf_mtod(buffer, uint8_t*), 0xff, 60);
  const std::vector<rte_mbuf*> own = PassOn({buffer});
  EXPECT_EQ(own, std::vector<rte_mbuf*>{buffer});
  Free(own);
}

TEST_F(SpreaderTest, CountsPacketsThatDoNotFitIntoARing) {
  Create(0, 2);
  const uint32_t port = PortOfOther();
  uint32_t given = 0;
  uint64_t bytes = 0;
  while (given < Spreader::kRingLength + 100) {
    std::vector<rte_mbuf*> buffers;
    for (uint32_t i = 0; i < 50; ++i) buffers.push_back(Packet(port, given++));
    bytes = buffers[0]->pkt_len;
    EXPECT_TRUE(PassOn(buffers).empty());
  }
  const uint64_t lost = given - Spreader::kRingLength;
  EXPECT_EQ(drops(), lost);
  EXPECT_EQ(counters_.totals.rx_packets, lost);
  EXPECT_EQ(counters_.totals.rx_bytes, lost * bytes);
  EXPECT_EQ(rte_mempool_in_use_count(SpreadPool()), Spreader::kRingLength);
  const std::vector<rte_mbuf*> got = Take(1);  // the oldest are kept
  ASSERT_EQ(got.size(), Spreader::kRingLength);
  for (uint32_t i = 0; i < got.size(); ++i) EXPECT_EQ(NumberOf(got[i]), i);
  Free(got);
}

TEST_F(SpreaderTest, FreesPacketsThatNobodyTook) {
  Create(0, 2);
  const uint32_t port = PortOfOther();
  PassOn({Packet(port, 0), Packet(port, 1)});
  EXPECT_EQ(rte_mempool_in_use_count(SpreadPool()), 2U);
}

}  // namespace
}  // namespace fairlead
