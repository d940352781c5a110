// Command line options made from a table of fields (lib/intent/field.h).
#pragma once

#include <vector>

#include <CLI/CLI.hpp>

#include "lib/intent/field.h"
#include "tools/fairctl/context.h"

namespace fairlead::fairctl {

// Adds an option for each field that has one. Options on the command line set members of the JSON
// object `given`, which must outlive the command. Fields without a member keep their value, or get
// fairleadd's default. `context`: gets the values for completion.
void AddFieldOptions(CLI::App* command, Context* context,
                     const std::vector<FieldDescription>& fields, Json* given);

}  // namespace fairlead::fairctl
