#include <cstring>

#include "dataplane/pipeline/drop.h"
#include "dataplane/pipeline/forward_tally.h"
#include "dataplane/pipeline/frame_edit.h"
#include "dataplane/pipeline/originate.h"
#include "dataplane/pipeline/rewrite_row.h"
#include "dataplane/pipeline/stages.h"

namespace fairlead {
namespace {

// The fast path for packets to this backend; null: none.
FastPathFn FastPathFor(const ForwardingTables& tables, uint32_t backend) {
  const FastPath path = tables.backends()[backend].fast_path;
  if (path == FastPath::kNone) return nullptr;
  const unsigned index = static_cast<unsigned>(path) - 1;  // see FastPathOf
  return kRewriteRows[index / 2]->fast_path[index % 2];
}

// Runs the fast paths. Leaves all other packets in `list`, in order, and returns their number.
uint32_t RewriteFast(PipelineContext& context, Burst& burst, uint8_t* list, uint32_t count) {
  // Most bursts are for one service, or for services of one mode.
  constexpr int kMaxPaths = 3;
  for (int path = 0; path < kMaxPaths && count != 0; ++path) {
    const FastPathFn run = FastPathFor(*context.tables, burst.backend[list[0]]);
    if (run == nullptr) break;
    count = run(context, burst, list, count);
  }
  return count;
}

// Cuts a packet larger than `mtu`, or returns the drop reason. The sender may get an ICMP error.
[[gnu::noinline]] DropReason RewriteTooBig(const RewriteJob& job, uint32_t mtu) {
  const DropReason verdict =
      JudgeTooBig(job.context, job.burst, job.i, job.burst.key[job.i].destination(), mtu);
  if (verdict != DropReason::kNone) return verdict;
  if (job.backend.vlan != 0 && !ReplaceTags(job.burst, job.i, job.backend.vlan)) {
    return DropReason::k_no_headroom;
  }
  return RewriteRowOf(job.service.mode).cut(job, mtu);
}

// The slow path: any packet.
[[gnu::noinline]] DropReason RewriteSlow(const RewriteJob& job) {
  Burst& burst = job.burst;
  const uint32_t i = job.i;
  if (!job.backend.has_next_hop) return DropReason::k_no_next_hop;
  const uint16_t port = EgressPortOf(burst, i, job.backend);
  burst.egress_port[i] = port;
  const uint32_t overhead = job.service.OverheadOf(static_cast<Family>(job.backend.family));
  const uint32_t mtu = PathMtu(job.context.ports[port].mtu, overhead);
  if (burst.packet[i].l3_length > mtu) [[unlikely]]
    return RewriteTooBig(job, mtu);
  if (job.backend.vlan != 0 && !ReplaceTags(burst, i, job.backend.vlan)) {
    return DropReason::k_no_headroom;
  }
  return RewriteByMode(job);
}

// Checks one packet only, since most bursts are for one service.
bool MostlyTunnels(const ForwardingTables& tables, const Burst& burst) {
  if (!tables.has_tunnels()) return false;
  const uint32_t middle = burst.live.place[burst.live.count / 2];
  return tables.services()[burst.service[middle]].is_tunnel();
}

// Rewrites the packets that no fast path took.
void RewriteRest(PipelineContext& context, Burst& burst, const uint8_t* rest, uint32_t rest_count) {
  const ServiceEntry* const services = context.tables->services().data();
  const BackendEntry* const backends = context.tables->backends().data();
  ForwardTally tally(context);
  for (uint32_t n = 0; n < rest_count; ++n) {
    const uint32_t i = rest[n];
    const ServiceEntry& service = services[burst.service[i]];
    const BackendEntry& backend = backends[burst.backend[i]];
    const uint64_t bytes = burst.packet[i].l3_length;
    const DropReason refusal = RewriteSlow({context, burst, i, service, backend});
    if (refusal != DropReason::kNone) [[unlikely]] {
      DropPacket(context, burst, i, refusal);
      continue;
    }
    burst.verdict[i] = Verdict::kForward;
    tally.Forwarded(burst.service[i], backend, bytes);
  }
}

}  // namespace

DropReason RewriteThenCut(const RewriteJob& job, uint32_t mtu) {
  const DropReason refusal = RewriteByMode(job);
  return refusal != DropReason::kNone
             ? refusal
             : CutPacket(job.context, job.burst, job.i, mtu, PieceTunnel());
}

void Rewrite(PipelineContext& context, Burst& burst) {
  if (burst.live.count == 0) return;  // there may be no tables
  uint8_t rest[kMaxBurst];
  std::memcpy(rest, burst.live.place, sizeof(rest));
  const uint32_t rest_count = RewriteFast(context, burst, rest, burst.live.count);
  context.hints.mostly_tunnels = MostlyTunnels(*context.tables, burst);
  if (rest_count != 0) RewriteRest(context, burst, rest, rest_count);
}

}  // namespace fairlead
