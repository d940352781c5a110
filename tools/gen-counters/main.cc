// fairlead-gen-counters: prints docs/counters.md, from the list that also generates the code.
#include <cstdio>

namespace {

constexpr char kHead[] =
    R"(# Counters

Written by `fairlead-gen-counters` from [counters.def](../lib/counters/counters.def): change that, then

```
ninja -C build tools/gen-counters/fairlead-gen-counters
build/tools/gen-counters/fairlead-gen-counters > docs/counters.md
```

Every packet ends in exactly one verdict, and one of these counts it:

| counter | what it counts |
|---|---|
| `rx` | packets received |
| `generated` | packets that Fairlead made: answers, errors, announcements, and the extra pieces of a packet that was cut |
| `tx` | packets given to a transmit queue |
| `to_kernel` | packets that are not for a frontend, whether or not the port has a path to the kernel |
| `drops` | packets dropped, one counter a reason |

Exact whenever the workers are quiet:

```
rx + generated = tx + sum(drops) + to_kernel
```

## Reasons for drops

A packet with several faults is counted under the first that is met; [parse.h](../lib/net/parse.h) has the order.
)";

constexpr char kTail[] =
    R"(
## Ports

Frames beside the pipeline: none of these counters is part of the sums above. `/v1/stats` has them in `ports`, `/metrics` under the
names below with the labels `port` and `outcome`, telemetry in `/fairlead/ports,NAME`.

`fairlead_steered_frames_total`: what the XDP program of an AF_XDP port did with all that arrived at its interface, the kernel's own
traffic too. `fairlead_steering_attached` is 1 while the program is there.

| outcome | what it counts |
|---|---|
| `to_dataplane` | frames about a frontend or from a nat backend: the `rx` of the port's workers |
| `to_kernel` | all others |
| `no_socket` | the former, on a queue that no worker has: the kernel got them; give the NIC as many queues as there are workers |

`fairlead_kernel_path_frames_total`: what went through the TAP of a port with `kernel: tap:NAME`. Over all such ports `delivered + lost =
to_kernel`, and `received = sent + unsent`.

| outcome | what it counts |
|---|---|
| `delivered` | frames handed to the kernel |
| `lost` | frames that the TAP did not take: it is down, or the kernel is slower than what comes in |
| `received` | frames that the kernel sent |
| `sent` | of these, those given to the port's transmit queue |
| `unsent` | of these, those that the queue did not take |

## Workers

`fairlead_worker_longest_pause_seconds`: the longest time between two polls of a worker since it started, by `worker`. A pause that has
not ended counts too. `/v1/stats` has the figures in `dataplane.longest_pauses_us`.

| a pause of | says |
|---|---|
| up to 0.3 ms | nothing: a worker with nothing to do sleeps for 0.2 ms at a time |
| some milliseconds | another program ran on the worker's CPU, or a batch took long; packets waited in the queue |
| seconds | the worker had no CPU. Queues overflowed, and flows that looked silent meanwhile may have lost their records |

Give each worker a CPU of its own (`cores` in dataplane.yaml, and `isolcpus` or a cpuset that keeps others away).
)";

}  // namespace

int main() {
  std::fputs(kHead, stdout);
#define DROP_GROUP(title) \
  std::fputs("\n### " title "\n\n| reason | what came, and what to look at |\n|---|---|\n", stdout);
#define DROP(name, text) std::fputs("| `" #name "` | " text " |\n", stdout);
#include "lib/counters/counters.def"
#undef DROP
  std::fputs(kTail, stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
