// The list of modes, made from modes.def. A test program compiles this file with a longer list
// (FAIRLEAD_MODES) and links it instead of the library's.
#include "lib/mode/mode.h"

#ifndef FAIRLEAD_MODES
#define FAIRLEAD_MODES "lib/mode/modes.def"
#endif

namespace fairlead {

#define FAIRLEAD_MODE(Name, number) extern const ModeDescriptor k##Name##Mode;
#include FAIRLEAD_MODES
#undef FAIRLEAD_MODE

namespace {

constexpr const ModeDescriptor* kModes[] = {
#define FAIRLEAD_MODE(Name, number) &k##Name##Mode,
#include FAIRLEAD_MODES
#undef FAIRLEAD_MODE
};

constexpr bool NumbersCountUp() {
  int next = 0;
#define FAIRLEAD_MODE(Name, number) \
  if (number != next++) return false;
#include FAIRLEAD_MODES
#undef FAIRLEAD_MODE
  return true;
}
static_assert(NumbersCountUp(), "a mode's index in the list must be its number");

}  // namespace

std::span<const ModeDescriptor* const> Modes() { return kModes; }

}  // namespace fairlead
