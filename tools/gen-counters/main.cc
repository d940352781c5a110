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
| `generated` | packets that Fairlead made: answers, and the extra pieces of a packet that was cut |
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

}  // namespace

int main() {
  std::fputs(kHead, stdout);
#define DROP_GROUP(title) \
  std::fputs("\n### " title "\n\n| reason | what came, and what to look at |\n|---|---|\n", stdout);
#define DROP(name, text) std::fputs("| `" #name "` | " text " |\n", stdout);
#include "lib/counters/counters.def"
#undef DROP
  return std::fflush(stdout) == 0 ? 0 : 1;
}
