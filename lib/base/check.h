// Programmers' errors: CHECK at boundaries, DCHECK in loops (compiled out with NDEBUG).
#pragma once

#include <cstdio>
#include <cstdlib>

namespace fairlead {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* expression) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, expression);
  std::abort();
}

}  // namespace fairlead

#define CHECK(expression) \
  ((expression) ? static_cast<void>(0) : ::fairlead::CheckFailed(__FILE__, __LINE__, #expression))

#ifdef NDEBUG
#define DCHECK(expression) static_cast<void>(sizeof((expression) ? 1 : 0))
#else
#define DCHECK(expression) CHECK(expression)
#endif
