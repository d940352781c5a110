// Precompiled for the whole folder: the JSON library is most of its compile time. Never included by
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

#include <nlohmann/json.hpp>
