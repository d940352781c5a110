// Makes an image in the format of an older release, for a dataplane that cannot read a newer one.
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
  // Version 2 has no port ranges. These frontends are not in the image: their packets go to a wider
  // frontend, if there is one, or are dropped.
  std::vector<RangeFrontend> left_out_frontends;
  // These services drop silently if they have no usable backend, instead of refusing the client.
  std::vector<std::string> services_without_reset;
  // The handshakes of these services are not followed, so no backend is an outlier.
  std::vector<std::string> services_without_handshakes;
};

// Makes version 2, which release 0.1.0 (commit ac0086a) reads. It has the same generation and
// another digest. REQUIRES a valid image of kSnapshotVersion, aligned to 8.
OlderImage ToSnapshotVersion2(std::span<const std::byte> image);

}  // namespace fairlead
