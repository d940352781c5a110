// What the generator sends, and what it expects back.
//
// Frames are TCP over IPv4, of `frame_bytes` on the wire. Flow f is client 11.0.0.0 + f/16, port
// 1024 + f%16, to port 80 of frontend 100.64.0.0 + f % services. Flows take turns; each packet says
// which it is, in fields that no mode changes:
//
//   TCP sequence number   the round: 0, 1, 2 ... within each flow
//   TCP ack number        the flow
//   first 6 bytes of data TSC when it was sent
//
// The backend of each flow comes from ForwardingTables, built from the image that the device under
// test loads. The backend's number is in its MAC (02:01:00:n:n:n) and its address (10.n.n.n).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/result.h"
#include "lib/snapshot/builder.h"

namespace fairlead::bench {

struct ImageSetting {
  ForwardingMode mode = ForwardingMode::kDsr;
  Tracking tracking = Tracking::kAdaptive;
  uint32_t services = 1;
  uint32_t backends = 100;  // of each
};

// The snapshot that the device under test loads. Its backends are reached through the port named
// `egress`. Empty: through the port that received the packet.
Result<SnapshotImage> MakeWireImage(const ImageSetting& setting, const std::string& egress);

struct TrafficSetting {
  ImageSetting image;
  bool expect_backend = true;  // false: the device under test is not a balancer
  uint32_t flows = 1;
  uint32_t frame_bytes = 64;
  uint32_t check_every = 1;  // one in so many packets has its checksums verified
};

// What came back.
struct PacketChecks {
  uint64_t received = 0;
  uint64_t foreign = 0;        // not of this generator, or not in the mode's form
  uint64_t reordered = 0;      // within a flow; duplicates too
  uint64_t wrong_backend = 0;  // by MAC or address
  uint64_t bad_checksum = 0;   // IPv4 header(s), TCP
};

class Traffic {
 public:
  static Result<Traffic> Make(const TrafficSetting& setting, const SnapshotImage& image);

  uint32_t frame_length() const { return static_cast<uint32_t>(frame_.size()); }

  // Writes the next packet.
  void Write(uint8_t* bytes, uint64_t tsc);

  // Checks a packet that came back. Returns the TSC when it was sent, or 0 if it is foreign.
  uint64_t Judge(const uint8_t* bytes, uint32_t length, PacketChecks* verdicts);

 private:
  explicit Traffic(const TrafficSetting& setting) : setting_(setting) {}
  void MakeFrame();
  Status FindBackends(const SnapshotImage& image);
  bool RightBackend(const uint8_t* bytes, uint32_t flow) const;
  bool RightChecksums(const uint8_t* bytes, uint32_t inner_offset) const;

  TrafficSetting setting_;
  std::vector<uint8_t> frame_;
  uint32_t tcp_sum_ = 0;     // TCP checksum of the bytes equal in all packets, not folded
  uint32_t header_sum_ = 0;  // the same for the IPv4 header
  uint32_t inner_offset_ = 0;
  uint32_t next_flow_ = 0;
  uint32_t round_ = 0;
  std::vector<uint32_t> backend_;     // by flow
  std::vector<uint32_t> next_round_;  // by flow: the lowest round that is in order
};

}  // namespace fairlead::bench
