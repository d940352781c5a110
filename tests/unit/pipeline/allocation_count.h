// Counts every operator new of the program it is linked into.
#pragma once

#include <cstdint>

namespace fairlead::testing {

uint64_t AllocationCount();

}  // namespace fairlead::testing
