// Completion of command lines. A shell runs the hidden `fairctl complete WORD...` at each TAB; the
// scripts for the shells (completion_command.cc) only pass words and candidates on. Commands and
// options come from CLI11's tree, values from Context::value_sources.
//
// `fairctl backend drain w` becomes `fairctl complete backend drain w`, which prints
//
//   words
//   web<TAB>203.0.113.10:80/tcp
//
// The first line is "words", or "files" if the shell is to offer files. Each other line is a
// candidate for the whole last word, and after a TAB what it means.
#pragma once

#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "tools/fairctl/context.h"

namespace fairlead::fairctl {

// `words`: those after "complete"; the last one may be incomplete or empty. Asks fairleadd for the
// names of services and backends, and offers none if it does not answer soon. Always kExitOk.
int Complete(const CLI::App& app, const std::vector<std::string>& words, Context* context);

}  // namespace fairlead::fairctl
