#include "tests/unit/controlplane/installed_config.h"

#include <fstream>
#include <sstream>

namespace fairlead {

std::string InstalledConfig() {
  std::ostringstream text;
  text << std::ifstream(FAIRLEADD_YAML).rdbuf();
  return text.str();
}

}  // namespace fairlead
