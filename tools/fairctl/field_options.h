// Options of commands, made from a table of fields (lib/intent/field.h).
#pragma once

#include <vector>

#include <CLI/CLI.hpp>

#include "lib/intent/field.h"
#include "tools/fairctl/context.h"

namespace fairlead::fairctl {

// Adds an option for each field that has one. What is said on the command line goes into the JSON
// object `said`, which must outlive the command: so what is not said stays, or is fairleadd's default.
void AddFieldOptions(CLI::App* command, const std::vector<FieldDescription>& fields, Json* said);

}  // namespace fairlead::fairctl
