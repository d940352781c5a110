// fairlead-gen-counters: prints docs/counters.md from counters.def, which also generates the code.
#include <cstdio>

namespace {

constexpr char kHead[] =
    R"(# Counters

Written by `fairlead-gen-counters` from [counters.def](../lib/counters/counters.def). To change it,
edit that file or `tools/gen-counters/main.cc`, then

```
ninja -C build tools/gen-counters/fairlead-gen-counters
build/tools/gen-counters/fairlead-gen-counters > docs/counters.md
```

Every packet has exactly one verdict, and one of these counters counts it:

| counter | what it counts |
|---|---|
| `rx` | packets received |
| `generated` | packets that Fairlead made: answers, errors, announcements, further pieces of a cut packet |
| `tx` | packets given to a transmit queue |
| `to_kernel` | packets that are not for a frontend, whether or not the port has a path to the kernel |
| `drops` | packets dropped, one counter for each reason |

This sum is exact while the workers are idle:

```
rx + generated = tx + sum(drops) + to_kernel
```

## Reasons for drops

A packet with several faults is counted under the first one. [parse.h](../lib/net/parse.h) gives
the order.
)";

constexpr char kTail[] =
    R"(
## Ports

These counters count frames outside the pipeline. None of them is part of the sum above.
`/v1/stats` has them in `ports`, `/metrics` under the names below with the label `port`, telemetry
in `/fairlead/ports,NAME`.

`fairlead_port_link_up` is 1 while the port's link is up. It is missing for ports without a network
(pcap, null, ring), and while the dataplane is not connected. `fairlead_port_link_changes_total`
counts how often the link went down or came up. The dataplane reads the link every 250 ms, fairleadd
asks it every second.

What the NIC lost before a worker saw it, or after. Its driver keeps these counters; not every
driver has all of them:

| metric | what it counts |
|---|---|
| `fairlead_port_nic_missed_total` | frames that found the receive queues full: the workers are too slow |
| `fairlead_port_nic_no_buffer_total` | frames for which no packet buffer was free |
| `fairlead_port_nic_errors_total` | `direction="rx"`: damaged frames (cable, optics); `"tx"`: frames not sent |

`fairlead_steered_frames_total`, by `outcome`: what the XDP program of an AF_XDP port did with every
frame that arrived at its interface, including the kernel's traffic. `fairlead_steering_attached` is 1 while
the program is attached.

| outcome | what it counts |
|---|---|
| `to_dataplane` | frames for a frontend or from a nat backend: the `rx` of the port's workers |
| `to_kernel` | all others |
| `no_socket` | as `to_dataplane`, but on a queue without a worker; sent to the kernel |

If `no_socket` counts, give the NIC as many queues as there are workers.

`fairlead_kernel_path_frames_total`, by `outcome`: frames through the TAP of a port with
`kernel: tap:NAME`. Over all such ports `delivered + lost = to_kernel`, and `received = sent + unsent`.

| outcome | what it counts |
|---|---|
| `delivered` | frames handed to the kernel |
| `lost` | frames that the TAP did not accept: it is down, or the kernel is too slow |
| `received` | frames that the kernel sent |
| `sent` | of these, those given to the port's transmit queue |
| `unsent` | of these, those that the queue did not accept |

## Workers

`fairlead_worker_rx_packets_total`: the packets that each worker received, by `worker`. Their sum is
`rx`. If one worker receives nearly all, the port's `spread` does not work for this traffic: see the
log of the start, and "Workers and queues" in [operations.md](operations.md#workers-and-queues).
`/v1/stats` has the values in `dataplane.rx_by_worker`.

`fairlead_worker_longest_pause_seconds`: the longest time between two polls of a worker since it
started, by `worker`. A pause that has not ended counts too. `/v1/stats` has the values in
`dataplane.longest_pauses_us`.

| a pause of | means |
|---|---|
| up to 0.3 ms | normal: an idle worker sleeps for 0.2 ms at a time |
| some milliseconds | another program ran on the worker's CPU, or a batch took long; packets waited in the queue |
| seconds | the worker had no CPU; queues overflowed, and flows that seemed silent may have lost their records |

Give each worker its own CPU: `cores` in dataplane.yaml, and `isolcpus` or a cpuset that keeps other
programs away.
)";

}  // namespace

int main() {
  std::fputs(kHead, stdout);
#define DROP_GROUP(title)                                                                      \
  std::fputs("\n### " title "\n\n| reason | what arrived, and what to look at |\n|---|---|\n", \
             stdout);
#define DROP(name, text) std::fputs("| `" #name "` | " text " |\n", stdout);
#include "lib/counters/counters.def"
#undef DROP
  std::fputs(kTail, stdout);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
