// The configurations of pipeline_fuzzer: each forwarding mode, some with other settings. Frontends
// have the addresses of the packet rows (tests/packet/variants.py), with every port.
#pragma once

#include <array>
#include <string>

#include "tests/packet/packet_harness.h"

namespace fairlead {

struct FuzzMode {
  const char* name;
  const char* forwarding;  // members of every service, JSON
  bool backends_v6 = false;
  bool spread = false;  // ipip_source
};

inline constexpr std::array<FuzzMode, 9> kFuzzModes = {{
    {"dsr", R"("forwarding": "dsr")"},
    {"ipip4", R"("forwarding": "ipip")"},
    {"ipip6", R"("forwarding": "ipip")", true},
    {"gue4", R"("forwarding": "gue", "gue_checksum": true)"},
    {"gue6", R"("forwarding": "gue")", true},
    {"nat", R"("forwarding": "nat", "mss_clamp": true)"},
    {"dsr-drop", R"("forwarding": "dsr", "too_big": "drop")"},
    {"ipip4-spread", R"("forwarding": "ipip")", false, true},
    {"gue6-sum", R"("forwarding": "gue", "gue_checksum": true)", true},
}};

Result<PacketVariant> MakeFuzzVariant(const FuzzMode& mode);

}  // namespace fairlead
