// Where slot tables lie: side by side on huge pages.
//
// 1,000 services of 65,537 slots are 262 MB, of which each packet reads one random word: on 4 KiB
// pages that word is not only not in the cache, its page is not in the TLB either. On pages of
// 2 MiB (asked for with madvise; the kernel may not have them, then all is as without) 128 entries
// cover them all.
//
// Regions of kRegionBytes, cut from the front into blocks; freed blocks are used again for tables of
// the same size, and a region without a block in use goes back to the kernel. Tables larger than a
// region get one of their own.
//
// Any thread; takes a lock. Blocks are zeroed by nobody.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace fairlead {

struct SlotMemoryDeleter {
  void operator()(std::atomic<uint32_t>* words) const;
};
using SlotWords = std::unique_ptr<std::atomic<uint32_t>[], SlotMemoryDeleter>;

inline constexpr size_t kSlotRegionBytes = size_t{16} << 20;

// Room for `count` words, on a cache line's boundary. Ends the process when there is no memory, as
// operator new does.
SlotWords AllocateSlotWords(size_t count);

// Bytes taken from the kernel. For tests.
size_t SlotMemoryBytes();

}  // namespace fairlead
