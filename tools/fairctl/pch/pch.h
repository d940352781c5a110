// Precompiled for the whole folder, because JSON and CLI11 take most of its compile time. No file
// includes it by name, so it needs no guard.

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
