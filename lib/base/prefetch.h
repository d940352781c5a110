// Asking for the lines of a burst before the first of them is read.
#pragma once

namespace fairlead {

// Into L2, not into L1 as a plain __builtin_prefetch does. A core waits for only so many lines into
// its L1 at a time, and a burst asks for more: of 64 lines of a burst of 32 flow lookups that L1
// was asked for most were still missing when they were read, while L2 took them all. In a table of
// 256 MB that is 43 -> 18.5 ns a lookup on Zen 4 (2026-11-25, docs/optimisations.md). What was in
// L2 to begin with is read from there then, some 1 ns a lookup more.
//
// always_inline is no matter of taste: gcc 12 takes a function that only prefetches for one without
// effect, and drops calls to it that it has not inlined by then.
[[gnu::always_inline]] inline void PrefetchLine(const void* address) {
  __builtin_prefetch(address, 0, 2);
}

}  // namespace fairlead
