#include "tests/unit/worker/eal.h"

#include <rte_eal.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace fairlead {
namespace {

bool StartEal() {
  static std::vector<std::string> strings = {"unit-worker", "--no-huge",          "--no-shconf",
                                             "--no-pci",    "--no-telemetry",     "-m",
                                             "16",          "--log-level=*:error"};
  static std::vector<char*> argv;
  argv.reserve(strings.size() + 1);
  for (std::string& text : strings) argv.push_back(text.data());
  argv.push_back(nullptr);
  return rte_eal_init(static_cast<int>(strings.size()), argv.data()) >= 0;
}

}  // namespace

rte_mempool* NewPool(const char* name, uint32_t buffer_count, uint16_t data_bytes) {
  static const bool started = StartEal();
  rte_mempool* const pool =
      started ? rte_pktmbuf_pool_create(name, buffer_count, 0, 0,
                                        static_cast<uint16_t>(data_bytes + RTE_PKTMBUF_HEADROOM),
                                        SOCKET_ID_ANY)
              : nullptr;
  if (pool == nullptr) std::abort();
  return pool;
}

}  // namespace fairlead
