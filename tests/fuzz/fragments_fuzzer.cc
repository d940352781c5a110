// Any bytes as a sequence of fragments at two workers with small stores: every fragment leaves
// exactly once, gets a decision that a first fragment of its own datagram recorded, and memory
// stays within its bounds. Also any bytes as an IPv4 packet: its pieces must reassemble to it.
//
// Input: first byte even: steps of 2 bytes each, (what and worker, datagram); odd: 2 bytes of MTU,
// then a frame.
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>

#include "lib/base/check.h"
#include "lib/flow/fragment_map.h"
#include "lib/flow/fragment_store.h"
#include "lib/net/fragment.h"
#include "lib/net/fragment_cut.h"
#include "tests/unit/slow_packet.h"

namespace fairlead {
namespace {

using slow::Bytes;

constexpr FragmentStoreSettings kSmall = {
    .max_datagrams = 8, .max_waiting = 16, .max_per_datagram = 4, .wait_ticks = 3};

// A decision is count << 8 | datagram. The count never repeats.
class Run {
 public:
  void Step(uint8_t what, uint8_t datagram) {
    Worker& worker = workers_[what & 1];
    switch (what >> 1 & 7) {
      case 0:
      case 1:
        First(&worker, datagram);
        break;
      case 2:
        ++now_tick_;
        break;
      case 3:
        worker.store.Advance(now_tick_);
        break;
      case 4:
        Fetch(&worker, datagram);
        break;
      default:
        Later(&worker, datagram);
        break;
    }
    CHECK(worker.store.waiting() <= kSmall.max_waiting);
    CHECK(worker.store.waiting() <= worker.held.size());
    CHECK(worker.store.waiting_datagrams() <= kSmall.max_datagrams);
  }

  void Finish() {
    for (Worker& worker : workers_) {
      worker.store.ReleaseAll();
      CHECK(worker.store.waiting() == 0);
      Fetch(&worker, kAll);
      CHECK(worker.held.empty());
    }
  }

 private:
  static constexpr uint32_t kAll = 0xffffffff;

  struct Worker {
    FragmentStore store;
    std::map<uint64_t, uint64_t> held;  // handle -> datagram
  };

  // Few buckets in map and store, so that datagrams evict each other.
  static FlowHash Identity(uint64_t datagram) {
    return {datagram * 0x9e3779b97f4a7c15U, datagram % 5};
  }

  void First(Worker* worker, uint64_t datagram) {
    const uint64_t decision = (++decision_count_ << 8) | datagram;
    const uint64_t standing = worker->store.RecordFirst(Identity(datagram), decision, now_tick_);
    CHECK((standing & 0xff) == datagram);
    CHECK(standing == decision || decisions_[datagram].contains(standing));
    decisions_[datagram].insert(decision);
  }

  void Later(Worker* worker, uint64_t datagram) {
    const uint64_t handle = ++handles_;
    uint64_t decision = 0;
    switch (worker->store.AddLater(Identity(datagram), handle, now_tick_, &decision)) {
      case FragmentStore::Outcome::kForward:
        CHECK(decisions_[datagram].contains(decision));
        break;
      case FragmentStore::Outcome::kHeld:
        worker->held[handle] = datagram;
        break;
      case FragmentStore::Outcome::kRefused:
        CHECK(decision == 0);
        break;
    }
  }

  void Fetch(Worker* worker, uint32_t most) {
    FragmentStore::Released released;
    for (uint32_t i = 0; i < most && worker->store.Next(&released); ++i) {
      const auto found = worker->held.find(released.handle);
      CHECK(found != worker->held.end());
      if (released.decision == 0) {
        CHECK(released.reason == DropReason::k_fragment_timeout ||
              released.reason == DropReason::k_fragment_evicted);
      } else {
        CHECK(released.reason == DropReason::kNone);
        CHECK(decisions_[found->second].contains(released.decision));
      }
      worker->held.erase(found);
    }
  }

  FragmentMap map_{10, 1, 5};
  std::array<Worker, 2> workers_{Worker{{&map_, kSmall}, {}}, Worker{{&map_, kSmall}, {}}};
  std::array<std::set<uint64_t>, 256> decisions_;
  uint64_t decision_count_ = 0;
  uint64_t handles_ = 0;
  uint32_t now_tick_ = 0xfffffe;  // wraps soon
};

void CheckPieces(const Bytes& ip, const FragmentCut& cut, uint32_t mtu) {
  const size_t header = (ip[0] & 15U) * 4U;
  const size_t total = slow::Get16(ip, 2);
  const uint16_t wrong = slow::Sum(slow::Slice(ip, 0, header));
  const uint32_t base = slow::Get16(ip, 6) & 0x1fffU;
  size_t at = 0;
  for (uint32_t i = 0; i < cut.count(); ++i) {
    const FragmentPiece piece = cut.piece(i);
    CHECK(piece.payload_begin == at);
    CHECK(piece.payload_length > 0);
    CHECK(piece.header_length + piece.payload_length <= mtu);
    at += piece.payload_length;
    const auto out = std::make_unique<uint8_t[]>(piece.header_length);
    cut.WriteHeader(i, out.get());
    const Bytes written(out.get(), out.get() + piece.header_length);
    CHECK((written[0] & 15U) * 4U == piece.header_length);
    CHECK(slow::Get16(written, 2) == piece.header_length + piece.payload_length);
    CHECK((slow::Get16(written, 6) & 0x1fffU) == ((base + piece.payload_begin / 8) & 0x1fffU));
    CHECK(slow::Sum(written) % 0xffff == wrong % 0xffff);
    const bool last = i + 1 == cut.count();
    CHECK(last || piece.payload_length % 8 == 0);
    CHECK((slow::Get16(written, 6) & 0x2000U) == (last ? slow::Get16(ip, 6) & 0x2000U : 0x2000U));
  }
  CHECK(header + at == total);
}

void CutFrame(uint32_t mtu, const Bytes& frame) {
  ParsedPacket packet;
  FlowKey key;
  const auto length = static_cast<uint32_t>(frame.size());
  ParseFrame(frame.data(), length, length, &packet, &key);
  if (packet.defect != DropReason::kNone) return;
  if (packet.kind != FrameKind::kIpv4 && packet.kind != FrameKind::kIpv6) return;
  if (packet.is_fragment) {
    const FlowKey datagram = FragmentKey(frame.data(), packet, key);
    CHECK(datagram.source() == key.source() && datagram.destination() == key.destination());
  }
  if (packet.kind != FrameKind::kIpv4) return;
  const Bytes ip = slow::Slice(frame, packet.l3_offset, packet.l3_length);
  FragmentCut cut;
  const DropReason verdict = cut.Plan(ip.data(), mtu);
  if (ip.size() <= mtu) {
    CHECK(verdict == DropReason::kNone && cut.count() == 1);
  } else if (verdict == DropReason::kNone) {
    CHECK(cut.count() > 1 && cut.count() <= kMaxPieces);
    CheckPieces(ip, cut, mtu);
  } else {
    CHECK(verdict == DropReason::k_too_big);
  }
}

}  // namespace
}  // namespace fairlead

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fairlead;
  if (size < 3) return 0;
  if (data[0] % 2 != 0) {
    CutFrame(static_cast<uint32_t>(data[1] << 8 | data[2]), slow::Bytes(data + 3, data + size));
    return 0;
  }
  Run run;
  for (size_t i = 1; i + 1 < size; i += 2) run.Step(data[i], data[i + 1]);
  run.Finish();
  return 0;
}
