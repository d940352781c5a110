#pragma once

#include <string>

namespace fairlead {

// The text of controlplane/fairleadd.yaml, which is installed to /etc/fairlead. Empty: it cannot be read.
std::string InstalledConfig();

}  // namespace fairlead
