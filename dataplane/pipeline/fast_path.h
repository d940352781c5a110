// The loop that all modes' fast paths share.
#pragma once

#include <cstdint>
#include <span>

#include "dataplane/pipeline/forward_tally.h"
#include "dataplane/pipeline/rewrite_row.h"
#include "lib/encap/ethernet_macs.h"

namespace fairlead {

// The egress port of the last packet. The next packet nearly always has the same.
struct Egress {
  uint32_t port = kNoIndex;
  uint32_t mtu = 0;
  SourceMac mac;
  const uint8_t* mac_bytes = nullptr;

  void SetPort(uint32_t index, std::span<const PortView> ports) {
    port = index;
    mtu = ports[index].mtu;
    mac_bytes = ports[index].mac.bytes.data();
    mac = SourceMac::Of(mac_bytes);
  }
};

// A FastPathFn. It handles the packets whose backend has this path and for which write(i, backend
// index, backend, egress) returns true.
template <FastPath kPath, typename Write>
[[gnu::always_inline]] inline uint32_t RunFastPath(PipelineContext& context, Burst& burst,
                                                   uint8_t* list, uint32_t count, Write write) {
  const BackendEntry* const backends = context.tables->backends().data();
  const std::span<const PortView> ports = context.ports;
  ForwardTally tally(context);
  Egress egress;
  uint32_t kept = 0;
  for (uint32_t n = 0; n < count; ++n) {
    const uint32_t i = list[n];
    const uint32_t index = burst.backend[i];
    const BackendEntry& backend = backends[index];
    const uint32_t length = burst.packet[i].l3_length;
    if (backend.fast_path != kPath) {
      list[kept++] = static_cast<uint8_t>(i);
      continue;
    }
    const uint16_t port = EgressPortOf(burst, i, backend);
    if (port != egress.port) [[unlikely]]
      egress.SetPort(port, ports);
    if (!write(i, index, backend, egress)) [[unlikely]] {
      list[kept++] = static_cast<uint8_t>(i);
      continue;
    }
    burst.egress_port[i] = port;
    burst.verdict[i] = Verdict::kForward;
    tally.Forwarded(burst.service[i], backend, length);
  }
  return kept;
}

}  // namespace fairlead
