// Sentences about what was observed, for people: made where it is shown, from numbers. Nothing decides
// by them.
#pragma once

#include <string>

#include "controlplane/core/status_board.h"

namespace fairlead {

// "3 tcp checks of port 80 failed in a row: Connection refused".
std::string VerdictText(const CheckVerdict& verdict);
// "is an address of this host (interface eth0), whose packets stay its own": goes on after the frontend.
std::string HindranceText(const LeftOutFrontend& frontend);
// "deadline passed; flows that remain are kept"; empty while the drain runs.
std::string DrainEndText(const DrainProgress& progress);

}  // namespace fairlead
