// Precompiled for folders of many tests: GoogleTest is half of their compile time. Never included by
// name, hence without a guard.

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
