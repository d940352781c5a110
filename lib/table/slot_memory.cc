#include "lib/table/slot_memory.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include <sys/mman.h>

#include "lib/base/check.h"

namespace fairlead {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kLine = 64;

size_t RoundUp(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

// Maps memory aligned to huge pages: maps one page more, then unmaps the ends.
std::byte* Map(size_t bytes) {
  const size_t mapped = bytes + kHugePage;
  void* const memory =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* const start = static_cast<std::byte*>(memory);
  auto* const aligned =
      reinterpret_cast<std::byte*>(RoundUp(reinterpret_cast<uintptr_t>(start), kHugePage));
  const auto front = static_cast<size_t>(aligned - start);
  if (front != 0) munmap(start, front);
  if (mapped - front != bytes) munmap(aligned + bytes, mapped - front - bytes);
  madvise(aligned, bytes, MADV_HUGEPAGE);
  return aligned;
}

struct Region {
  size_t bytes = 0;
  size_t used = 0;  // bytes cut from the front so far
  size_t live = 0;  // blocks in use
};

class Regions {
 public:
  std::byte* Take(size_t bytes) {
    bytes = RoundUp(std::max(bytes, kLine), kLine);
    const std::lock_guard lock(mutex_);
    std::byte* block = Reuse(bytes);
    if (block == nullptr) block = Cut(bytes);
    ++RegionOf(block)->second.live;
    sizes_[block] = bytes;
    return block;
  }

  void Free(std::byte* block) {
    const std::lock_guard lock(mutex_);
    const auto size = sizes_.find(block);
    CHECK(size != sizes_.end());
    free_[size->second].push_back(block);
    sizes_.erase(size);
    const auto region = RegionOf(block);
    if (--region->second.live == 0) Drop(region);
  }

  size_t bytes() {
    const std::lock_guard lock(mutex_);
    return mapped_;
  }

 private:
  using RegionMap = std::map<std::byte*, Region>;

  RegionMap::iterator RegionOf(std::byte* block) { return std::prev(regions_.upper_bound(block)); }

  std::byte* Reuse(size_t bytes) {
    const auto blocks = free_.find(bytes);
    if (blocks == free_.end() || blocks->second.empty()) return nullptr;
    std::byte* const block = blocks->second.back();
    blocks->second.pop_back();
    return block;
  }

  std::byte* Cut(size_t bytes) {
    for (auto& [start, region] : regions_) {
      if (region.bytes - region.used < bytes) continue;
      region.used += bytes;
      return start + region.used - bytes;
    }
    const size_t size = std::max(kSlotRegionBytes, RoundUp(bytes, kHugePage));
    std::byte* const start = Map(size);
    mapped_ += size;
    regions_[start] = {size, bytes, 0};
    return start;
  }

  void Drop(RegionMap::iterator region) {
    std::byte* const start = region->first;
    std::byte* const end = start + region->second.bytes;
    for (auto& [size, blocks] : free_) {
      std::erase_if(blocks, [&](const std::byte* block) { return block >= start && block < end; });
    }
    munmap(start, region->second.bytes);
    mapped_ -= region->second.bytes;
    regions_.erase(region);
  }

  std::mutex mutex_;
  RegionMap regions_;                               // by start
  std::map<size_t, std::vector<std::byte*>> free_;  // by size
  std::map<const std::byte*, size_t> sizes_;        // of blocks in use
  size_t mapped_ = 0;
};

// Never destroyed, since a table may outlive static objects.
Regions& TheRegions() {
  static Regions* const regions = new Regions;
  return *regions;
}

}  // namespace

void SlotMemoryDeleter::operator()(std::atomic<uint32_t>* words) const {
  if (words != nullptr) TheRegions().Free(reinterpret_cast<std::byte*>(words));
}

SlotWords AllocateSlotWords(size_t count) {
  std::byte* const block = TheRegions().Take(count * sizeof(std::atomic<uint32_t>));
  auto* const words = reinterpret_cast<std::atomic<uint32_t>*>(block);
  std::uninitialized_default_construct_n(words, count);
  return SlotWords(words);
}

size_t SlotMemoryBytes() { return TheRegions().bytes(); }

}  // namespace fairlead
