// Precompiled for the whole folder: the JSON library and CLI11 are most of its compile time. Never included by
// name, hence without a guard.

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
