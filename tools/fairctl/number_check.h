// Numbers on the command line.
#pragma once

#include <cstdint>

#include <CLI/Validators.hpp>

namespace fairlead::fairctl {

// For CLI::Option::transform(): refuses all but decimal digits with a value from `min` to `max`.
// CLI11's own conversion takes numbers as strtoull() does: -5 and what is larger than 64 bits become
// other numbers, and 010 is octal. Use this for each number that an option or an argument has.
CLI::Validator DecimalNumber(uint64_t min, uint64_t max);

}  // namespace fairlead::fairctl
