#include "tests/unit/pipeline/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

// clang's TSan links its own operator new. It cannot be replaced, but it calls a hook for each
// allocation.
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#include <sanitizer/allocator_interface.h>
#define FAIRLEAD_HAS_ALLOCATION_HOOKS
#endif
#endif

namespace {
std::atomic<uint64_t> allocation_count{0};
}  // namespace

#ifdef FAIRLEAD_HAS_ALLOCATION_HOOKS

namespace fairlead::testing {

uint64_t AllocationCount() {
  [[maybe_unused]] static const int hooks = __sanitizer_install_malloc_and_free_hooks(
      [](const volatile void*, size_t) {
        ::allocation_count.fetch_add(1, std::memory_order_relaxed);
      },
      [](const volatile void*) {});
  return ::allocation_count.load(std::memory_order_relaxed);
}

}  // namespace fairlead::testing

#else

// The standard library defines every other form of new in terms of these two.
void* operator new(size_t bytes) {
  allocation_count.fetch_add(1, std::memory_order_relaxed);
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) std::abort();
  return memory;
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  allocation_count.fetch_add(1, std::memory_order_relaxed);
  const auto align = static_cast<size_t>(alignment);
  void* const memory = std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*bytes*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*bytes*/, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}

namespace fairlead::testing {

uint64_t AllocationCount() { return ::allocation_count.load(std::memory_order_relaxed); }

}  // namespace fairlead::testing

#endif
