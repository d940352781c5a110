// The memory of slot tables: adjacent, on huge pages.
//
// 1,000 services of 65,537 slots take 262 MB, and each packet reads one random word of them. With
// pages of 4 KiB that word misses the cache, and its page also misses the TLB. With pages of 2 MiB,
// 128 TLB entries cover everything. They are requested with madvise; if the kernel has none, pages
// of 4 KiB are used.
//
// Memory is mapped in regions of kSlotRegionBytes, which are cut into blocks from the front. Freed
// blocks are used again for tables of the same size. A region without a block in use is unmapped. A
// table larger than a region gets its own region.
//
// Any thread; takes a lock. Blocks are not zeroed.
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

// Allocates `count` words, aligned to a cache line. Ends the process if there is no memory, as
// operator new does.
SlotWords AllocateSlotWords(size_t count);

// Bytes mapped from the kernel. For tests.
size_t SlotMemoryBytes();

}  // namespace fairlead
