// An image in the format of an older release, for a dataplane that reads no newer one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "lib/net/address.h"
#include "lib/snapshot/builder.h"

namespace fairlead {

struct OlderImage {
  struct RangeFrontend {
    std::string service;
    Frontend frontend;
  };
  SnapshotImage image;
  // What version 2 has no place for. Frontends of port ranges are not in it: their packets go to a
  // wider frontend, if there is one, or are dropped.
  std::vector<RangeFrontend> left_out_frontends;
  // These drop silently where they have no backend, instead of refusing the client.
  std::vector<std::string> services_without_reset;
};

// Version 2, which release 0.1.0 (commit ac0086a) reads. The same generation, another digest. REQUIRES a
// valid image of kSnapshotVersion, aligned to 8.
OlderImage ToSnapshotVersion2(std::span<const std::byte> image);

}  // namespace fairlead
